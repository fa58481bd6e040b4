"""Look-alikes beside a case, and labels that deserve a second look."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy.orm import Session
from tests.learning.reviewed import (
    ACCEPT,
    ANA,
    BEN,
    SICK,
    SICKER,
    answered,
    box,
    decided,
    healthy,
    label_of,
    next_for,
    undone,
    waiting,
)
from tests.learning.said import tried_out
from tests.tiny_models import BANANA

from leafloop.learning.labels import correcting, doubtful, likeness_search
from leafloop.learning.review.opinions import Decision
from leafloop.learning.words import feedback
from leafloop.learning.words.feedback import Author, Word
from leafloop.storage import models, predictions
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Model, Prediction, TrainingData
from leafloop.vision import likeness

RANDOM = np.random.default_rng(7)


def leaf(seed: int = 0) -> np.ndarray[Any, Any]:
    """A picture with waves of every length, and no other like it."""
    return np.random.default_rng(seed).integers(0, 255, (64, 64), dtype=np.uint8)


@pytest.fixture
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path_factory.mktemp('doubtful') / 'leafloop.db'}")
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture
def session(ledger: Ledger) -> Iterator[Session]:
    with tried_out(ledger) as opened:
        yield opened


def champion(session: Session, version: str) -> None:
    session.add(Model(version=version, name="m", bundle_hash=version, licence="x", source="test", manifest={}))
    session.flush()
    before = models.pointer(session, "champion")
    expected = before.pointer_version if before else 0
    assert models.move_pointer(session, "champion", version, expected=expected, actor="test", reason="test")


def labelled(session: Session, decision: Decision = ACCEPT, **changes: Any) -> tuple[Prediction, TrainingData]:
    prediction = answered(session, **changes)
    decided(session, ANA, waiting(session, prediction), decision)
    label = label_of(session, prediction)
    assert label is not None
    return prediction, label


def pictured(session: Session, prediction: Prediction, pixels: np.ndarray[Any, Any]) -> None:
    predictions.photo_of(session, prediction).likeness = likeness.of(pixels)
    session.flush()


def test_confirmed_photos_that_look_alike_stand_beside_the_case_however_they_were_turned(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        for pixels in (leaf(), np.rot90(leaf()), leaf(1)):
            prediction, _ = labelled(session)
            pictured(session, prediction, np.ascontiguousarray(pixels))
        judged = answered(session)
        pictured(session, judged, leaf())
        waiting(session, judged)
    likeness_search.look(ledger)
    with ledger.transaction() as session:
        case = next_for(session, ANA)
        assert case is not None
        shown = case.as_dict()["lookalikes"]
    assert [found["distance"] for found in shown] == [0, 0]  # and not the one that is another leaf
    assert {found["class_name"] for found in shown} == {SICK}


def test_a_photo_is_no_lookalike_of_itself_and_one_without_a_likeness_has_none(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        prediction, _ = labelled(session)
        pictured(session, prediction, leaf())
        image_hash, known = prediction.image_hash, likeness.of(leaf())
    likeness_search.look(ledger)
    with ledger.reading() as session:
        assert likeness_search.nearest(session, known, but=image_hash) == []
        assert len(likeness_search.nearest(session, known, but="another")) == 1
        assert likeness_search.nearest(session, None, but="another") == []
        assert likeness_search.nearest(session, b"\xff" + known[1:], but="another") == []  # of another method


def test_labels_that_come_and_go_are_noticed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness_search, "FRESH_S", 0.0)
    known = likeness.of(leaf())

    def seen() -> int:
        likeness_search.look(ledger)
        with ledger.reading() as session:
            return len(likeness_search.nearest(session, known, but=""))

    assert seen() == 0
    for number in (1, 2):
        with ledger.transaction() as session:
            prediction, label = labelled(session)
            pictured(session, prediction, leaf())
            label_id = label.id
        assert seen() == number
    with ledger.transaction() as session:
        session.get_one(TrainingData, label_id).is_validated = False
    assert seen() == 1


def test_the_nearest_are_the_nearest(ledger: Ledger) -> None:
    base = likeness.of(leaf())
    with ledger.transaction() as session:
        for flipped in (3, 40, 12, 200):
            prediction, _ = labelled(session)
            whole = np.unpackbits(np.frombuffer(base[1:33], np.uint8))
            whole[RANDOM.choice(256, flipped, replace=False)] ^= 1
            predictions.photo_of(session, prediction).likeness = base[:1] + np.packbits(whole).tobytes() + base[33:]
    likeness_search.look(ledger)
    with ledger.reading() as session:
        assert [found.distance for found in likeness_search.nearest(session, base, but="")] == [3, 12, 40]


# Doubts


def test_a_sure_champion_that_says_something_else_makes_a_label_doubtful_but_not_where_a_reviewer_judged_that_answer(
    session: Session,
) -> None:
    champion(session, "1")
    _, corrected = labelled(session, Decision("correct", class_name=SICKER), bytes_="a")  # version 1 was overruled here
    assert doubtful.ranked(session, limit=9) == []
    champion(session, "2")
    answered(session, "a", model_version="2", confidence=0.9)  # the new one says again what the old one said
    answered(session, "a", model_version="2", confidence=0.6, reliable=False)
    found = doubtful.ranked(session, limit=9)
    assert [(doubt.label_id, doubt.score) for doubt in found] == [(corrected.id, 0.9)]
    assert found[0].reasons == ({"code": "model", "detail": SICK},)
    assert found[0].item_id is not None


def test_the_same_class_in_other_places_is_a_smaller_doubt(session: Session) -> None:
    champion(session, "2")
    _, label = labelled(session, Decision("correct", boxes=[box(SICK, x1=300.0, x2=400.0)]), bytes_="b")
    answered(session, "b", model_version="2")
    doubt = doubtful.ranked(session, limit=9)[0]
    assert (doubt.label_id, doubt.score, doubt.reasons[0]["code"]) == (label.id, 0.4, "boxes")


def test_photos_that_are_nearly_the_same_and_have_different_labels_are_both_doubtful(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        ids = []
        for number, decision in enumerate((ACCEPT, Decision("correct", class_name=SICKER))):
            prediction, label = labelled(session, decision)
            noise = np.random.default_rng(number).integers(-2, 3, (64, 64))
            pictured(session, prediction, np.clip(leaf().astype(int) + noise, 0, 255).astype(np.uint8))
            ids.append(label.id)
        other, _ = labelled(session)
        pictured(session, other, leaf(1))
    likeness_search.look(ledger)
    with ledger.reading() as session:
        found = {doubt.label_id: doubt.reasons for doubt in doubtful.ranked(session, limit=9)}
    assert found == {ids[0]: ({"code": "twin", "detail": SICKER},), ids[1]: ({"code": "twin", "detail": SICK},)}


def test_labels_of_an_overruled_sender_are_doubtful_a_little_and_the_worst_come_first(session: Session) -> None:
    champion(session, "1")
    prediction = answered(session, user_id="mario")
    feedback.submit(session, BANANA, prediction, Author("phonefon", "mario"), Word(False, correct_class_name=SICKER))
    decided(session, ANA, waiting(session, prediction), ACCEPT)
    champion(session, "2")
    answered(session, "c", user_id="mario")
    _, worst = labelled(session, bytes_="c", user_id="mario")
    answered(session, "c", model_version="2", predicted_class_name=SICKER, predicted_class_id=5, confidence=0.7)
    found = doubtful.ranked(session, limit=9)
    assert found[0].label_id == worst.id
    assert [reason["code"] for reason in found[0].reasons] == ["model", "author"]
    assert found[0].score > found[1].score > 0
    assert len(doubtful.ranked(session, limit=1)) == 1


def test_a_second_look_answers_the_doubts_that_there_were_and_not_those_that_come_after_it(session: Session) -> None:
    champion(session, "1")
    prediction = answered(session, user_id="mario")
    feedback.submit(session, BANANA, prediction, Author("phonefon", "mario"), Word(False, correct_class_name=SICKER))
    item = waiting(session, prediction)
    decided(session, ANA, item, ACCEPT)
    assert [doubt.reasons[0]["code"] for doubt in doubtful.ranked(session, limit=9)] == ["author"]
    decided(session, BEN, item, ACCEPT)
    assert doubtful.ranked(session, limit=9) == []
    champion(session, "2")
    again = answered(session, user_id="mario", model_version="2", predicted_class_name=SICKER, predicted_class_id=5)
    again.photo_id, again.image_hash = prediction.photo_id, prediction.image_hash
    session.flush()
    assert [doubt.reasons[0]["code"] for doubt in doubtful.ranked(session, limit=9)] == ["model"]
    undone(session, BEN)
    assert [reason["code"] for reason in doubtful.ranked(session, limit=9)[0].reasons] == ["model", "author"]


def test_a_label_that_two_reviewers_made_together_has_been_looked_at_twice(session: Session) -> None:
    before = answered(session, user_id="mario")
    feedback.submit(session, BANANA, before, Author("phonefon", "mario"), Word(False, correct_class_name=SICKER))
    decided(session, ANA, waiting(session, before), Decision("reject"))
    item = waiting(session, answered(session, user_id="mario"))
    decided(session, ANA, item, Decision("accept", ask_second=True))
    decided(session, BEN, item, ACCEPT)
    assert doubtful.ranked(session, limit=9) == []


def test_twins_that_a_reviewer_stands_by_are_no_doubt_until_one_says_something_new(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        ids = []
        for decision in (ACCEPT, Decision("correct", class_name=SICKER)):
            prediction, label = labelled(session, decision)
            pictured(session, prediction, leaf())
            ids.append(label.id)
    likeness_search.look(ledger)

    def doubted() -> set[str]:
        with ledger.reading() as session:
            return {doubt.label_id for doubt in doubtful.ranked(session, limit=9)}

    def look_again(label_id: str, **said: Any) -> None:
        with ledger.transaction() as session:
            correcting.correct(session, BANANA, session.get_one(TrainingData, label_id), said, ANA)

    assert doubted() == set(ids)
    look_again(ids[0], group="plot 9")  # nobody looked at the photo for that
    assert doubted() == set(ids)
    look_again(ids[0], is_validated=True)
    assert doubted() == {ids[1]}
    look_again(ids[1], is_validated=True)
    assert doubted() == set()


def test_a_label_that_is_not_trained_on_is_not_doubtful(session: Session) -> None:
    champion(session, "2")
    _, label = labelled(session, bytes_="d")
    answered(session, "d", model_version="2", outcome="healthy", predicted_class_name=None, predicted_class_id=None)
    assert len(doubtful.ranked(session, limit=9)) == 1
    label.is_validated = False
    session.flush()
    assert doubtful.ranked(session, limit=9) == []
    assert healthy(session).timestamp > label.added_date - timedelta(days=1)
