"""A case: all that a reviewer is shown of one photo, as one value. Decides nothing, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from leafloop.learning.labels import likeness_search
from leafloop.learning.words import feedback
from leafloop.storage import predictions, reviews
from leafloop.storage.reviews import Reviewer
from leafloop.storage.tables import Feedback, Photo, Prediction, Review, ReviewItem, now

Plain = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One photo that waits for an opinion. `blind`: the first opinion is there and is not shown.

    `opinions` are those given so far, oldest first, unless they must not be seen. `remaining` counts what this reviewer could take,
    this one too.
    """

    item: ReviewItem
    prediction: Prediction
    photo: Photo
    words: Sequence[Feedback]
    opinions: Sequence[Review]
    lookalikes: Sequence[likeness_search.Lookalike]
    blind: bool
    remaining: int

    def as_dict(self) -> Plain:
        """Plain data, in the form in which API and page have it."""
        item, prediction = self.item, self.prediction
        return {
            "item_id": item.id,
            "version": item.version,
            "state": item.state,
            "reasons": [{"code": r["code"], "detail": r.get("detail")} for r in item.reasons],
            "due_at": _moment(item.due_at),
            "is_random": item.is_random,
            "leased_until": _moment(item.leased_until),
            "blind": self.blind,
            "prediction": {
                "id": prediction.id,
                "created_at": _moment(prediction.timestamp),
                "width": prediction.image_width,
                "height": prediction.image_height,
                "outcome": prediction.outcome,
                "class_id": prediction.predicted_class_id,
                "class_name": prediction.predicted_class_name,
                "confidence": prediction.confidence,
                "model_version": prediction.model_version,
                "user_id": prediction.user_id,
                "group": self.photo.group,
                "quality": prediction.answer.get("quality"),
            },
            "detections": prediction.bbox_data,
            "words": [_word(word) for word in self.words],
            "opinions": [_opinion(review) for review in self.opinions],
            "lookalikes": [found.as_dict() for found in self.lookalikes],
            "remaining": self.remaining,
        }


def build(session: Session, item: ReviewItem, reviewer: Reviewer) -> Case:
    """The case of an item, as this reviewer may see it."""
    prediction = predictions.get(session, item.prediction_id)
    assert prediction is not None, "an item goes with its answer"
    photo = predictions.photo_of(session, prediction)
    given = reviews.opinions(session, item.id)
    return Case(
        item=item,
        prediction=prediction,
        photo=photo,
        words=feedback.words_of(session, prediction.id),
        opinions=given if item.state != "second" else (),
        lookalikes=likeness_search.nearest(session, photo.likeness, but=photo.sha256),
        blind=is_blind(item, given, reviewer),
        remaining=reviews.remaining(session, reviewer, now()),
    )


def is_blind(item: ReviewItem, given: Sequence[Review], reviewer: Reviewer) -> bool:
    """Whether an opinion of this reviewer would be a second one, given without seeing the first."""
    return item.state == "second" and bool(given) and reviews.reviewer_of(given[-1]) != reviewer


def _word(word: Feedback) -> Plain:
    return {
        "author": word.user_id or (f"key {word.key_id}" if word.key_id else None),
        "is_correct": word.is_correct,
        "correct_class_name": word.correct_class_name,
        "correct_outcome": word.correct_outcome,
        "corrected_boxes": word.corrected_boxes,
        "ask_expert": word.ask_expert,
        "comment": word.user_comment,
        "rating": word.confidence_rating,
        "created_at": _moment(word.timestamp),
    }


def _opinion(review: Review) -> Plain:
    return {
        "review_id": review.id,
        "reviewer": review.reviewer or (f"key {review.key_id}" if review.key_id else None),
        "decision": review.decision,
        "outcome": review.outcome,
        "class_id": review.class_id,
        "class_name": review.class_name,
        "boxes": review.boxes,
        "comment": review.comment,
        "blind": review.blind,
        "created_at": _moment(review.created_at),
    }


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
