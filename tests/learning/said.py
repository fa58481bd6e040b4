"""A ledger with an answer in it, and people who say what they think of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.orm import Session
from tests.storage.conftest import answer
from tests.tiny_models import BANANA

from leafloop.learning.review import worth
from leafloop.learning.words import feedback
from leafloop.learning.words.feedback import Author, Word
from leafloop.storage import predictions
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Feedback, Prediction, Review, ReviewItem, now

HEALTHY = next(name for i, name in enumerate(BANANA.class_names) if i in BANANA.healthy_ids)
SICK, SICKER = BANANA.class_names[3], BANANA.class_names[5]
MARIA, PEDRO, OTHERS_MARIA = Author("aaaaaaaa", "maria"), Author("aaaaaaaa", "pedro"), Author("bbbbbbbb", "maria")
RIGHT, WRONG, NOTHING_THERE = Word(True), Word(False), Word(False, correct_outcome="healthy")
NO_LEAF, SICKER_THAN_SAID = Word(False, correct_outcome="no_leaf"), Word(False, correct_class_name=SICKER)
BOX = {"class_name": SICKER, "bbox": {"x1": 10, "y1": 10, "x2": 60, "y2": 50}}


def an_answer(session: Session, **changes: Any) -> Prediction:
    """An answer that says SICK, of a photo of 640 x 480 pixels."""
    found = {"class_id": 3, "class_name": SICK, "confidence": 0.8, "bbox": {"x1": 1, "y1": 1, "x2": 50, "y2": 40}}
    photo, prediction = answer(**{"predicted_class_name": SICK, "bbox_data": [found], **changes})
    predictions.record_answer(session, photo, prediction)
    return prediction


def say(session: Session, prediction: Prediction, author: Author, word: Word) -> Feedback:
    return feedback.submit(session, BANANA, prediction, author, word)


def decide(session: Session, prediction: Prediction, class_name: str | None, **changes: Any) -> Review:
    """A reviewer says which class it is (None: healthy), as `learning.review.deciding` does in the end."""
    item = worth.enqueue(session, prediction.id, [worth.Reason("random")])
    assert item is not None
    outcome = "healthy" if class_name in (None, HEALTHY) else "diseased"
    values = {"decision": "correct", "outcome": outcome, "class_name": class_name, **changes}
    review = Review(item_id=item.id, prediction_id=prediction.id, **values)
    session.add(review)
    item.state, item.decided_at = "done", now()
    feedback.settle(session, prediction.id, review)
    return review


def take_back(session: Session, prediction: Prediction, review: Review) -> None:
    """A reviewer's undo."""
    review.undone_at = now()
    item = session.get_one(ReviewItem, review.item_id)
    item.state, item.decided_at = "open", None
    feedback.settle(session, prediction.id, review)


def item_of(session: Session, prediction: Prediction) -> ReviewItem | None:
    return session.query(ReviewItem).filter_by(prediction_id=prediction.id).one_or_none()


def reasons_of(session: Session, prediction: Prediction) -> dict[str, str | None]:
    item = item_of(session, prediction)
    return {} if item is None else {reason["code"]: reason["detail"] for reason in item.reasons}


class _Enough(Exception):
    pass


@contextmanager
def tried_out(ledger: Ledger) -> Iterator[Session]:
    """A transaction of which nothing is kept: no disk has to sync."""
    try:
        with ledger.transaction() as session:
            yield session
            raise _Enough
    except _Enough:
        pass
