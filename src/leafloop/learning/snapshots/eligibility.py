"""Whether a label may be in a snapshot, and why not. Knows no side and no other photo.

Quality is gated by what `vision.quality` measures at a fixed scale, so that a large and a small copy of a photo fare alike; one
that was never measured is not left out. Weak labels are let in, marked so: the trainer decides what they are good for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from leafloop.storage.snapshots import Sent
from leafloop.vision import quality

# Reasons, as they are counted. docs/SNAPSHOTS.md says what each means.
NOT_VALIDATED, ERASED, OBJECT_LOST = "not_validated", "erased", "object_lost"
REFUSED, NOT_AGREED = "consent_refused", "consent_not_given"
UNCERTAIN, NO_LABEL, UNKNOWN_CLASS = "uncertain", "no_label", "unknown_class"
BLURRED, NOISY, TOO_DARK, TOO_BRIGHT = "blurred", "noisy", "too_dark", "too_bright"


@dataclass(frozen=True)
class QualityGate:
    """Limits of what trains and judges, as `vision.quality` measures them."""

    min_sharpness: float = quality.MIN_SHARPNESS
    max_sharpness: float = quality.MAX_SHARPNESS
    min_brightness: float = quality.MIN_BRIGHTNESS
    max_brightness: float = quality.MAX_BRIGHTNESS

    def as_dict(self) -> dict[str, float]:
        return asdict(self)

    def fault(self, sharpness: float | None, brightness: float | None) -> str | None:
        """What is wrong with a photo. None: nothing, or it was not measured."""
        wrong = {
            BLURRED: sharpness is not None and sharpness < self.min_sharpness,
            NOISY: sharpness is not None and sharpness > self.max_sharpness,
            TOO_DARK: brightness is not None and brightness < self.min_brightness,
            TOO_BRIGHT: brightness is not None and brightness > self.max_brightness,
        }
        return next((code for code, found in wrong.items() if found), None)


@dataclass(frozen=True)
class Rules:
    """What every label is held to. `gate`: None lets every photo in."""

    class_names: tuple[str, ...]
    consent_required: bool
    gate: QualityGate | None

    def against(self, label: Any, photo: Sent | None, *, is_erased: bool, is_refused: bool) -> str | None:
        """Why a label (a row of `storage.snapshots.labels`) is left out; None: it may be in."""
        if is_erased:
            return ERASED
        if not label.meant:
            return NOT_VALIDATED
        if is_refused:  # one refusal counts more than any number of agreements
            return REFUSED
        return self._consent(label, photo) or self._content(label) or self._quality(label)

    def _consent(self, label: Any, photo: Sent | None) -> str | None:
        # Whoever brings a dataset answers for it; a person who was not asked has not agreed.
        asked = label.source != "import" and self.consent_required
        return NOT_AGREED if asked and not (photo and photo.agreed) else None

    def _content(self, label: Any) -> str | None:
        if label.outcome == "uncertain":
            return UNCERTAIN
        # No boxes at all ([]) is a statement: a dataset's confirmed negative, whose outcome nobody said.
        if label.class_name is None and label.outcome is None and label.bbox_data is None:
            return NO_LABEL
        named = {label.class_name} if label.class_name else set()
        named |= {box.get("class_name") for box in label.bbox_data or ()}
        return UNKNOWN_CLASS if not _known(named, self.class_names, label.bbox_data) else None

    def _quality(self, label: Any) -> str | None:
        return self.gate.fault(label.blur_score, label.brightness_score) if self.gate else None


def _known(named: Collection[object], class_names: tuple[str, ...], boxes: list[Any] | None) -> bool:
    """Whether every class is of the class set, and every box's id and name are of one class: never a class by default."""
    known = dict(enumerate(class_names))
    agree = all(known.get(box.get("class_id")) == box.get("class_name") for box in boxes or ())
    return agree and set(named) <= set(class_names)
