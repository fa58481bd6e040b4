"""What a reviewer's minute is worth on an answer: the reasons to look at it, their weights, and its place in the queue.

    priority = sum of the weights of an item's reasons

Weights are whole orders of preference, not probabilities: a person who waits goes before any statistics, a contradiction before a
plain correction, and what the model itself is unsure of before what everybody agrees on. docs/REVIEW.md shows the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from leafloop.storage.tables import Review, ReviewItem

WEIGHTS: dict[str, float] = {
    "asked": 16.0,  # a person asked an expert, and waits
    "disputes_review": 12.0,  # somebody contradicts what a reviewer has decided
    "contradiction": 8.0,  # two people say different things of one answer
    "correction": 6.0,  # somebody says that the answer is wrong
    "low_trust": 3.0,  # its author was overruled before
    "rare_class": 3.0,  # few labels of this class are there yet
    "uncertain": 2.0,  # the model is close to its threshold, or says so itself
    "poor_photo": 1.0,  # somebody judged a photo of poor quality
    "random": 1.0,  # of the random share
    "confirmation": 0.5,  # somebody says that the answer is right: a label at a glance
}


REOPENS = frozenset({"asked", "disputes_review"})  # what brings a decided answer back before a reviewer


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an answer should be looked at. `detail` is data for the page's words, never a sentence."""

    code: str
    detail: str | None = None

    @property
    def weight(self) -> float:
        return WEIGHTS[self.code]


def chance(purpose: str, prediction_id: str) -> float:
    """A number from 0 to 1 that an answer has for a purpose: the same wherever it is asked for, and drawn by nobody."""
    digest = hashlib.sha256(f"{purpose}:{prediction_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def enqueue(
    session: Session, prediction_id: str, reasons: Sequence[Reason], *, due_at: datetime | None = None
) -> ReviewItem | None:
    """Give an answer its place in the queue, or more reasons to be in it; its item. None: there was no reason.

    A reason of the same code is replaced. What was decided stays decided unless somebody disputes it, or asks after it.
    """
    item = session.scalar(select(ReviewItem).where(ReviewItem.prediction_id == prediction_id))
    if not reasons:
        return item
    if item is None:
        item = ReviewItem(prediction_id=prediction_id, priority=0.0, reasons=[])
        session.add(item)
    merged = {old["code"]: old for old in item.reasons} | {new.code: asdict(new) for new in reasons}
    _set_reasons(item, list(merged.values()))
    item.is_random = item.is_random or "random" in merged
    item.due_at = min(filter(None, (item.due_at, due_at)), default=None)
    if item.state in ("done", "rejected") and any(new.code in REOPENS for new in reasons):
        item.state, item.decided_at, item.version = "open", None, item.version + 1
    session.flush()
    return item


def drop_reasons(session: Session, prediction_id: str, codes: Sequence[str]) -> None:
    """Take reasons away that no longer hold, as a word was withdrawn. An open item without any is no longer in the queue, unless
    somebody reviewed it: what was decided hangs on it."""
    item = session.scalar(select(ReviewItem).where(ReviewItem.prediction_id == prediction_id))
    if item is None:
        return
    _set_reasons(item, [reason for reason in item.reasons if reason["code"] not in codes])
    if "asked" in codes:
        item.due_at = None  # nobody waits any more
    if not item.reasons and item.state == "open" and not _was_reviewed(session, item):
        session.delete(item)
    session.flush()


def _was_reviewed(session: Session, item: ReviewItem) -> bool:
    return session.scalar(select(Review.id).where(Review.item_id == item.id).limit(1)) is not None


def _set_reasons(item: ReviewItem, reasons: list[dict[str, str | None]]) -> None:
    item.reasons = sorted(reasons, key=lambda reason: -WEIGHTS[str(reason["code"])])
    item.priority = sum(WEIGHTS[str(reason["code"])] for reason in reasons)
