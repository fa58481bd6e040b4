"""A settled review becomes a label: strong with boxes, weak with a class alone. Knows no queue.

    diseased, accepted with its detections, or with boxes drawn    strong, with these boxes
    healthy or no_leaf, boxes []                                   strong: "nothing is here, I looked"
    a class, and no boxes drawn                                    weak, no boxes
    uncertain, rejected                                            no label

A photo's bytes have one label. Another review of the same bytes makes a new revision of it, and what it said before is in the
audit log. What a snapshot holds stays as a row for good: taking it back makes a revision that is not to be trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from leafloop.learning.review.opinions import Opinion, stated
from leafloop.storage import audit, labels, predictions, words
from leafloop.storage.reviews import reviewer_of
from leafloop.storage.tables import Photo, Prediction, Review, TrainingData, now
from leafloop.vision.quality import score_of

SOURCE = "feedback"  # the older system's word for what people made of answers
MAX_BY = 200  # the column's width; an identity is a key's id and its label, which is shorter
# What a label says, as the audit log keeps it and as it is put back. The rest of a row is the photo's and its sender's.
CONTENT = (
    "outcome", "class_id", "class_name", "strength", "bbox_data", "source", "source_id", "feedback_ids", "is_validated",
    "validated_by", "group",
)  # fmt: skip
Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to a label: its revision since, and what it said before (None: it was made)."""

    label_id: str
    revision: int
    before: Content | None


def strength_of(boxes: Sequence[Any] | None) -> str:
    """`strong` is a statement about boxes, also that there are none; `weak` is a class alone."""
    return "weak" if boxes is None else "strong"


def apply(
    session: Session,
    review: Review,
    prediction: Prediction,
    photo: Photo,
    *,
    feedback_ids: Sequence[str],
    seconded: bool,
    by: str,
    actor: str,
) -> Change | None:
    """Make the label that a settled review means, or withdraw the one that it contradicts. The caller holds the photo.

    `seconded`: more than one reviewer has looked. What nobody can tell and what is of no use makes no label. None: nothing was
    there to change.
    """
    opinion = stated(review)
    label = labels.of_photo(session, prediction.image_hash)
    if opinion.outcome in (None, "uncertain"):
        if label is None or not label.is_validated:
            return None
        return withdraw(session, label, actor=actor, why=review.id)
    content = _content(review, opinion, feedback_ids, by)
    if label is not None:
        return revise(session, label, content, actor=actor, why=review.id)
    looked = {"looked_at": now() if seconded else None}
    return _make(session, {**content, **_of_photo(prediction, photo), **looked}, actor=actor, why=review.id)


def make_again(session: Session, image_hash: str, *, actor: str) -> Change | None:
    """The label of a photo of which one answer was deleted, by what holds of another answer of the same bytes. The caller holds
    the photo. None: no other answer of it was reviewed."""
    settled = [
        (review, prediction)
        for prediction in predictions.of_photo(session, image_hash)
        if (review := words.standing_review(session, prediction.id)) is not None
    ]
    if not settled:
        return None
    review, prediction = max(settled, key=lambda one: (one[0].created_at, one[0].id))
    photo = predictions.photo_of(session, prediction)
    label = labels.of_photo(session, image_hash)
    if label is not None:  # a snapshot holds its row: it is about the photo that stays from now on
        label.photo_id, label.key_id, label.user_id = photo.id, prediction.key_id, prediction.user_id
    ids = [word.id for word in words.current(session, prediction.id) if word.status != "pending"]
    by = reviewer_of(review).identity
    return apply(session, review, prediction, photo, feedback_ids=ids, seconded=False, by=by, actor=actor)


def revise(
    session: Session, label: TrainingData, content: Mapping[str, Any], *, actor: str, why: str, looked: bool = True
) -> Change:
    """Give a label other content, as its next revision. What it said before goes to the audit log.

    `looked`: somebody has looked at the photo again, which answers the doubts that there were.
    """
    before = content_of(label)
    for name, value in content.items():
        setattr(label, name, value)
    label.revision += 1
    label.validated_at = now()
    if looked:
        label.looked_at = label.validated_at
    session.flush()
    detail = {"before": before, "after": content_of(label), "revision": label.revision}
    audit.record(session, actor=actor, action="label.revise", subject=label.id, reason=why, detail=detail)
    return Change(label.id, label.revision, before)


def withdraw(session: Session, label: TrainingData, *, actor: str, why: str) -> Change:
    """Nothing is learnt of this label any more. Its row stays, for what it says and who said so."""
    return revise(session, label, {"is_validated": False}, actor=actor, why=why)


def take_back(session: Session, change: Change, *, actor: str, why: str) -> None:
    """Undo a change: what the label said before is said again, as its next revision; one that was made is removed.

    One that a snapshot holds stays, and is not trained on. What somebody else changed since holds.
    """
    label = labels.get(session, change.label_id)
    if label is None or label.revision != change.revision:
        return
    label.looked_at = None
    if change.before is not None:
        revise(session, label, change.before, actor=actor, why=why, looked=False)
    elif labels.in_snapshot(session, label.image_hash):
        withdraw(session, label, actor=actor, why=why)
    else:
        remove(session, label, actor=actor, why=why)


def remove(session: Session, label: TrainingData, *, actor: str, why: str) -> None:
    """Take a label away for good; what it said is in the audit log."""
    detail = {"before": content_of(label), "after": None, "revision": label.revision}
    audit.record(session, actor=actor, action="label.remove", subject=label.id, reason=why, detail=detail)
    session.delete(label)
    session.flush()


def content_of(label: TrainingData) -> Content:
    """What a label says, as plain data."""
    return {name: getattr(label, name) for name in CONTENT}


def _make(session: Session, values: Content, *, actor: str, why: str) -> Change:
    label = TrainingData(validated_at=now(), revision=1, **values)
    session.add(label)
    session.flush()
    detail = {"before": None, "after": content_of(label), "revision": 1}
    audit.record(session, actor=actor, action="label.make", subject=label.id, reason=why, detail=detail)
    return Change(label.id, 1, None)


def _content(review: Review, opinion: Opinion, feedback_ids: Sequence[str], by: str) -> Content:
    return {
        "outcome": opinion.outcome,
        "class_id": opinion.class_id,
        "class_name": opinion.class_name,
        "strength": strength_of(opinion.boxes),
        "bbox_data": opinion.boxes,
        "source": SOURCE,
        "source_id": review.id,
        "feedback_ids": list(feedback_ids),
        "is_validated": True,
        "validated_by": by[:MAX_BY],
    }


def _of_photo(prediction: Prediction, photo: Photo) -> Content:
    """Whose photo it is, and what was measured of it as it was answered."""
    quality = prediction.answer.get("quality") or {}
    return {
        "image_hash": prediction.image_hash,
        "photo_id": photo.id,
        "image_path": photo.stored_sha256,
        "name": photo.file_name,
        "width": prediction.image_width,
        "height": prediction.image_height,
        "key_id": prediction.key_id,
        "user_id": prediction.user_id,
        "group": photo.group,
        "quality_score": score_of({warning["code"] for warning in quality.get("warnings", ())}),
        "blur_score": quality.get("sharpness"),
        "brightness_score": quality.get("brightness"),
    }
