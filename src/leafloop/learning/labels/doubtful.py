"""Labels that are likely mistakes, ranked for a second look. Nothing is changed here: a person looks.

    model    the champion, on this very photo, is sure of something else; not where a reviewer judged that model's answer
    boxes    it says the same class, and finds other places
    twin     a photo that is nearly the same has another label
    author   the photo's sender was overruled before

A doubt that is older than a reviewer's last look at the label is answered, also where the look changed nothing (`looked_at`); the
first look, which made the label, answers none.

A label's score is the sum of its reasons': the model's is its confidence, which says most; the others are set below it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from leafloop.learning.labels import likeness_search
from leafloop.learning.review import matching
from leafloop.learning.review.opinions import SAME_BOXES
from leafloop.learning.words.trust import LOW_TRUST, trust
from leafloop.storage import models, words
from leafloop.storage.tables import Photo, Prediction, Review, TrainingData

MOST = 5000  # answers, pairs and labels looked at for each reason, the newest or surest: seconds at most, for a list of some dozens
CHAMPION = "champion"
BOXES, TWIN, AUTHOR = (
    0.5,
    0.8,
    0.3,
)  # how much the reasons weigh beside a model that is sure of another class (its confidence)
Found = tuple[TrainingData, str, str | None, float]


@dataclass(frozen=True)
class Doubt:
    """A label that deserves a second look, and why. `item_id`: the case to take for it, if there is one."""

    label_id: str
    revision: int
    item_id: str | None
    image_hash: str
    class_name: str | None
    outcome: str | None
    strength: str
    score: float
    reasons: tuple[dict[str, str | None], ...]

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"reasons": list(self.reasons)}


def ranked(session: Session, *, limit: int) -> list[Doubt]:
    """The likeliest mistakes first."""
    labels: dict[str, TrainingData] = {}
    reasons: dict[str, dict[str, tuple[str | None, float]]] = {}  # the strongest of each kind, by label
    for find in (_by_model, _by_twin, _by_author):
        for label, code, detail, score in find(session):
            labels[label.id] = label
            kinds = reasons.setdefault(label.id, {})
            kinds[code] = max(kinds.get(code, (detail, 0.0)), (detail, score), key=lambda kind: kind[1])
    scores = {label_id: sum(score for _, score in kinds.values()) for label_id, kinds in reasons.items()}
    first = sorted(scores, key=lambda label_id: (-scores[label_id], label_id))[:limit]
    items = _items(session, [labels[label_id] for label_id in first])
    return [_doubt(labels[one], items.get(labels[one].source_id or ""), scores[one], reasons[one]) for one in first]


def _doubt(label: TrainingData, item_id: str | None, score: float, kinds: dict[str, tuple[str | None, float]]) -> Doubt:
    ordered = sorted(kinds.items(), key=lambda kind: -kind[1][1])
    return Doubt(
        label_id=label.id,
        revision=label.revision,
        item_id=item_id,
        image_hash=label.image_hash,
        class_name=label.class_name,
        outcome=label.outcome,
        strength=label.strength,
        score=round(score, 3),
        reasons=tuple({"code": code, "detail": detail} for code, (detail, _) in ordered),
    )


def _by_model(session: Session) -> Iterator[Found]:
    """What the champion said for sure of photos with a label, unless a reviewer had that model's answer before him."""
    pointer = models.pointer(session, CHAMPION)
    if pointer is None:
        return
    judged = aliased(Prediction)
    chosen = (
        select(TrainingData, Prediction)
        .join(Photo, Photo.sha256 == TrainingData.image_hash)
        .join(Prediction, Prediction.photo_id == Photo.id)
        .outerjoin(Review, Review.id == TrainingData.source_id)
        .outerjoin(judged, judged.id == Review.prediction_id)
        .where(TrainingData.is_validated, Prediction.reliable, Prediction.model_version == pointer.version)
        .where(or_(judged.model_version.is_(None), judged.model_version != pointer.version))
        .where(or_(TrainingData.looked_at.is_(None), TrainingData.looked_at < Prediction.timestamp))
        .order_by(Prediction.timestamp.desc())
        .limit(MOST)
    )
    for label, answer in session.execute(chosen):
        sure = float(answer.confidence or 0.0)
        if _said(label) != (answer.predicted_class_name or answer.outcome):
            yield label, "model", answer.predicted_class_name or answer.outcome, sure
        elif label.bbox_data is not None and (f1 := matching.f1(label.bbox_data, answer.bbox_data)) < SAME_BOXES:
            yield label, "boxes", f"{f1:.2f}", BOXES * sure * (1 - f1)


def _by_twin(session: Session) -> Iterator[Found]:
    """Pairs of labels whose photos are nearly the same, and that say different things."""
    pairs = likeness_search.twins(session)[:MOST]
    wanted = sorted({label_id for pair in pairs for label_id in pair})
    rows: dict[str, TrainingData] = {}
    for start in range(0, len(wanted), 500):
        some = TrainingData.id.in_(wanted[start : start + 500])
        rows |= {row.id: row for row in session.scalars(select(TrainingData).where(some, TrainingData.is_validated))}
    for a, b in pairs:
        first, second = rows.get(a), rows.get(b)
        if first is not None and second is not None and _said(first) != _said(second):
            for one, other in ((first, second), (second, first)):
                if not _stands_beside(one, other):
                    yield one, "twin", _said(other), TWIN


def _stands_beside(one: TrainingData, other: TrainingData) -> bool:
    """Whether a reviewer stood by a label since its twin was labelled, or by both: then each photo shows what it shows."""
    if one.looked_at is None:
        return False
    return other.looked_at is not None or other.validated_at is None or one.looked_at >= other.validated_at


def _by_author(session: Session) -> Iterator[Found]:
    """Labels of photos whose senders' words did not hold, until somebody looked again: then the sender's word is no part of it."""
    for key_id, user_id, accepted, overruled in words.overruled_authors(session):
        if (trusted := trust(accepted, overruled)) >= LOW_TRUST:
            continue
        theirs = (
            TrainingData.is_validated,
            TrainingData.looked_at.is_(None),
            TrainingData.key_id.is_not_distinct_from(key_id),
            TrainingData.user_id.is_not_distinct_from(user_id),
        )
        newest = select(TrainingData).where(*theirs).order_by(TrainingData.added_date.desc()).limit(MOST)
        for label in session.scalars(newest):
            yield label, "author", f"{trusted:.2f}", AUTHOR * (1 - trusted)


def _said(label: TrainingData) -> str | None:
    return label.class_name or label.outcome


def _items(session: Session, labels: list[TrainingData]) -> dict[str, str]:
    """Review -> item, of the reviews that made these labels."""
    made_by = [label.source_id for label in labels if label.source_id]
    return {row[0]: row[1] for row in session.execute(select(Review.id, Review.item_id).where(Review.id.in_(made_by)))}
