"""Answers that wait for a review, reviewers, and what they decide."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.storage.conftest import answer
from tests.tiny_models import BANANA

from leafloop.learning.review import deciding, worth
from leafloop.learning.review.deciding import Case, Decision, Reviewer
from leafloop.storage import labels, predictions
from leafloop.storage.tables import Feedback, Prediction, Review, ReviewItem, TrainingData

HEALTHY = BANANA.class_names[min(BANANA.healthy_ids)]
SICK, SICKER = BANANA.class_names[3], BANANA.class_names[5]
ANA, BEN, CLEO = Reviewer("anasanas", "Ana"), Reviewer("benbenbe", "Ben"), Reviewer("cleocleo", "Cleo")
EDGES = {"x1": 100.0, "y1": 100.0, "x2": 200.0, "y2": 180.0}
FOUND = {"class_id": 3, "class_name": SICK, "confidence": 0.8, "bbox": EDGES}
QUALITY = {
    "sharpness": 250.0, "brightness": 120.0, "leaf_fraction": 0.7, "width": 640, "height": 480, "warnings": [],
}  # fmt: skip
ACCEPT, REJECT, SKIP = Decision("accept"), Decision("reject"), Decision("skip")
NO_LEAF = Decision("correct", outcome="no_leaf")
_numbers = iter(range(10**9))


def box(class_name: str = SICKER, **edges: float) -> dict[str, Any]:
    return {"class_name": class_name, "bbox": {**EDGES, **edges}}


def answered(session: Session, bytes_: str | None = None, **changes: Any) -> Prediction:
    """An answer of a photo of its own, or of these bytes: SICK, with one box, unless `changes` say otherwise."""
    image_hash = hashlib.sha256((bytes_ or f"photo {next(_numbers)}").encode()).hexdigest()
    said = {"predicted_class_name": SICK, "bbox_data": [FOUND], "answer": {"quality": QUALITY}, "key_id": "phonefon"}
    photo, prediction = answer(**{**said, "image_hash": image_hash, "user_id": "maria", **changes})
    photo.sha256, photo.stored_sha256 = image_hash, image_hash[::-1]
    photo.file_name, photo.group = "leaf.jpg", "plot 7"
    prediction.image_path = photo.stored_sha256
    predictions.record_answer(session, photo, prediction)
    return prediction


def healthy(session: Session, **changes: Any) -> Prediction:
    said = {"outcome": "healthy", "predicted_class_id": min(BANANA.healthy_ids), "predicted_class_name": HEALTHY}
    return answered(session, **{**said, "bbox_data": [], **changes})


def unclear(session: Session, outcome: str = "uncertain", **changes: Any) -> Prediction:
    said = {"outcome": outcome, "predicted_class_id": None, "predicted_class_name": None, "bbox_data": []}
    return answered(session, **{**said, **changes})


def waiting(session: Session, prediction: Prediction | None = None, *codes: str, **about: Any) -> ReviewItem:
    """An item of the queue."""
    prediction = prediction or answered(session)
    reasons = [worth.Reason(code) for code in codes or ("uncertain",)]
    item = worth.enqueue(session, prediction.id, reasons, **about)
    assert item is not None
    return item


def prediction_of(session: Session, item: ReviewItem) -> Prediction:
    return session.get_one(Prediction, item.prediction_id)


def next_for(session: Session, who: Reviewer, **how: Any) -> Case | None:
    return deciding.take_next(session, BANANA, who, **{"lease_minutes": 10, **how})


def decided(session: Session, who: Reviewer, item: ReviewItem, decision: Decision, *, second: float = 0.0) -> Review:
    """This reviewer takes the item, and decides."""
    case = deciding.take(session, BANANA, item.id, who, 10)
    return deciding.decide(session, BANANA, item.id, case.item.version, who, decision, second_share=second)


def undone(session: Session, who: Reviewer, **which: Any) -> Case | None:
    return deciding.undo(session, BANANA, who, lease_minutes=10, **which)


def label_of(session: Session, prediction: Prediction) -> TrainingData | None:
    return labels.of_photo(session, prediction.image_hash)


def statuses(session: Session) -> list[str]:
    return list(session.scalars(select(Feedback.status).order_by(Feedback.timestamp)))
