"""What a person said beside a photo is set right: the change and its audit entry, in one transaction. Judges no value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from leafloop.storage import audit, predictions, snapshots
from leafloop.storage.tables import Photo, Prediction


def edit(session: Session, prediction: Prediction, after: Mapping[str, Any], *, actor: str) -> None:
    """Set columns of an answer, or of its photo (`consent`), to checked values."""
    if "consent" in after:
        snapshots.hold(session)
    photo = predictions.photo_of(session, prediction)
    before: dict[str, Any] = {}
    for name, value in after.items():
        target, attribute = _place(name, prediction, photo)
        before[name] = getattr(target, attribute)
        setattr(target, attribute, value)
    detail = {"before": before, "after": dict(after)}
    audit.record(session, actor=actor, action="prediction.edit", subject=prediction.id, detail=detail)


def _place(name: str, prediction: Prediction, photo: Photo) -> tuple[Prediction | Photo, str]:
    if name == "consent":
        return photo, name
    return prediction, "metadata_" if name == "metadata" else name
