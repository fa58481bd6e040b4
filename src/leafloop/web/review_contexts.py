"""What the review pages' templates are given, field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from leafloop.web.contexts import Visitor


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPage:
    """One photo after the other. `classes`: id, name, title, colour, ink, key (a digit or None), severity, healthy.

    `item_id`: the photo to begin with. `reason`: only photos that are there for it.
    """

    template: ClassVar[str] = "review.html"
    visitor: Visitor
    classes: tuple[dict[str, Any], ...]
    lease_minutes: int
    item_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerRow:
    """One reviewer's opinions beside what held in the end. `reviewer`: None at the open service. None: nothing to compare."""

    reviewer: str | None
    compared: int
    agreed: int
    interval: list[float] | None
    box_f1: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementPage:
    """`accuracy` is what `learning.review.agreement.measured_accuracy` gives."""

    template: ClassVar[str] = "review_agreement.html"
    visitor: Visitor
    pairs: int
    agreed: int
    kappa: float | None
    box_f1: float | None
    accuracy: dict[str, Any]
    rows: tuple[ReviewerRow, ...]


@dataclass(frozen=True, slots=True)
class DoubtfulRow:
    """A label that may be wrong, and why: (code, detail). `item_id`: the case to look at again; None: there is none."""

    label_id: str
    revision: int
    title: str | None
    outcome: str | None
    score: float
    reasons: tuple[tuple[str, str | None], ...]
    item_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtfulPage:
    template: ClassVar[str] = "review_doubtful.html"
    visitor: Visitor
    classes: tuple[dict[str, Any], ...]
    rows: tuple[DoubtfulRow, ...]


ReviewContext = ReviewPage | AgreementPage | DoubtfulPage
