"""Feedback, review and undo in any order: no word is lost, a photo has one label, and a strong one has boxes. Killed, too."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests.conftest import ROOT
from tests.learning.reviewed import ANA, BEN, CLEO, NO_LEAF, SICK, SICKER, answered, box, decided, undone, waiting
from tests.learning.said import tried_out
from tests.tiny_models import BANANA

from leafloop.errors import LeafloopError
from leafloop.learning.review.opinions import Decision
from leafloop.learning.words import feedback
from leafloop.learning.words.feedback import Author, Word
from leafloop.storage import reviews
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Feedback, Prediction, Review, ReviewItem, TrainingData

WORDS = [
    Word(True), Word(False), Word(False, correct_class_name=SICKER), Word(False, correct_outcome="healthy"),
    Word(False, corrected_boxes=({"class_name": SICKER, "bbox": box()["bbox"]},)), Word(None, ask_expert=True),
]  # fmt: skip
DECISIONS = [
    Decision("accept"), Decision("reject"), Decision("skip"), NO_LEAF, Decision("accept", ask_second=True),
    Decision("correct", class_name=SICKER), Decision("correct", boxes=[box()]), Decision("correct", outcome="uncertain"),
    Decision("correct", outcome="healthy", boxes=[]), Decision("correct", class_name=SICK, ask_second=True),
]  # fmt: skip
PEOPLE = [Author("phonefon", "maria"), Author("phonefon", "pedro"), Author(None, None)]
STEPS = st.one_of(
    st.tuples(st.just("say"), st.integers(0, 2), st.integers(0, 2), st.sampled_from(WORDS)),
    st.tuples(st.just("withdraw"), st.integers(0, 2), st.integers(0, 2), st.none()),
    st.tuples(st.just("decide"), st.integers(0, 2), st.integers(0, 2), st.sampled_from(DECISIONS)),
    st.tuples(st.just("undo"), st.integers(0, 2), st.integers(0, 2), st.none()),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=16))
def test_no_sequence_loses_a_word_makes_two_labels_or_a_strong_one_without_boxes(
    sqlite: Ledger, steps: list[tuple[str, int, int, Any]]
) -> None:
    with tried_out(sqlite) as session:
        # Two answers of the same bytes, and one of others.
        answers = [answered(session, bytes_) for bytes_ in ("one", "one", "two")]
        said: set[str] = set()
        for what, who, which, content in steps:
            said |= _happens(session, what, who, answers[which], content)
            session.expire_all()
            _holds(session, said)


def _happens(session: Session, what: str, who: int, prediction: Prediction, content: Any) -> set[str]:
    """The ids of words that were said."""
    reviewer = (ANA, BEN, CLEO)[who]
    try:
        with session.begin_nested():
            if what == "say":
                return {feedback.submit(session, BANANA, prediction, PEOPLE[who], content).id}
            if what == "withdraw":
                feedback.undo(session, prediction, PEOPLE[who])
            elif what == "undo":
                undone(session, reviewer)
            else:
                item = reviews.of_prediction(session, prediction.id) or waiting(session, prediction)
                item.leased_until = None  # whoever had it is gone
                session.flush()
                decided(session, reviewer, item, content)
    except LeafloopError:
        session.expire_all()
    return set()


def _holds(session: Session, said: set[str]) -> None:
    assert set(session.scalars(select(Feedback.id))) == said
    labels = session.scalars(select(TrainingData)).all()
    assert len({label.image_hash for label in labels}) == len(labels)
    for label in labels:
        assert (label.strength == "strong") == (label.bbox_data is not None)
        assert not (label.strength == "strong" and label.outcome == "diseased" and not label.bbox_data)
        assert label.outcome != "uncertain"
        review = session.get(Review, label.source_id or "")
        assert review is not None
        if label.is_validated:  # it is what a review says that stands
            assert review.undone_at is None
            assert (review.outcome, review.class_name, review.boxes) == (
                label.outcome,
                label.class_name,
                label.bbox_data,
            )
    for item in session.scalars(select(ReviewItem)):
        given_ = reviews.opinions(session, item.id)
        assert (item.state in ("done", "rejected", "second", "disputed")) <= bool(given_)
        assert (item.state == "disputed") <= (len(given_) >= 2)


# Killed

KILL = """
import os, signal, sys
from leafloop.learning.labels import labelling
from leafloop.learning.review import deciding
from leafloop.learning.review.opinions import Decision
from leafloop.storage import audit
from leafloop.storage.ledger import Ledger
from leafloop.storage.reviews import Reviewer
from leafloop import taxonomy

def dies(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

url, item_id, where = sys.argv[1:]
place = {"settling": (deciding, "_settle"), "labelling": (labelling, "_make"), "recording": (deciding, "_record")}.get(where)
if place:
    setattr(*place, dies)
with Ledger(url).transaction() as session:
    case = deciding.take(session, None, item_id, Reviewer("anasanas", "Ana"), 10)
    deciding.decide(session, taxonomy.load(), item_id, case.item.version, Reviewer("anasanas", "Ana"), Decision("accept"), second_share=0)
    session.flush()
    if where == "committing":
        dies()
dies()
"""


@pytest.mark.parametrize("where", ["settling", "labelling", "recording", "committing", "after"])
def test_a_decision_that_is_killed_is_whole_or_was_never_made(tmp_path: Path, where: str) -> None:
    url = f"sqlite:///{tmp_path / 'leafloop.db'}"
    ledger = Ledger(url)
    ledger.upgrade()
    with ledger.transaction() as session:
        prediction = answered(session)
        feedback.submit(session, BANANA, prediction, PEOPLE[0], Word(True))
        item = reviews.of_prediction(session, prediction.id)
        assert item is not None
    done = subprocess.run([sys.executable, "-c", KILL, url, item.id, where], cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with ledger.reading() as session:
        counted = [session.scalar(select(func.count()).select_from(table)) for table in (Review, TrainingData)]
        state = session.scalars(select(ReviewItem.state)).one()
        word = session.scalars(select(Feedback.status)).one()
    ledger.close()
    whole = (counted, state, word) == ([1, 1], "done", "accepted")
    assert whole if where == "after" else (counted, state, word) == ([0, 0], "open", "pending")
