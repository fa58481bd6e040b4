"""What came of each of many answers, in one look: for lists. Only reads; `storage.words` has the whole of one answer."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from leafloop.storage import words
from leafloop.storage.tables import Feedback, Review, ReviewItem


def marks(session: Session, prediction_ids: Collection[str], key_id: str | None) -> dict[str, str]:
    """By answer: `asked` (by this key, and no reviewer has decided since), else `replied` (one has decided), else `said`."""
    mine = select(Feedback.prediction_id, Feedback.ask_expert, Feedback.timestamp).where(
        Feedback.prediction_id.in_(prediction_ids),
        Feedback.key_id.is_not_distinct_from(key_id),
        Feedback.status.in_(words.CURRENT),
    )
    replied = (
        select(Review.prediction_id, func.max(Review.created_at))
        .join(ReviewItem, ReviewItem.id == Review.item_id)
        .where(Review.prediction_id.in_(prediction_ids), Review.undone_at.is_(None))
        .where(Review.decision.in_((*words.DECIDING, "reject")), ReviewItem.state.not_in(("second", "disputed")))
        .group_by(Review.prediction_id)
    )
    last = {row[0]: row[1] for row in session.execute(replied)}
    found = dict.fromkeys(last, "replied")
    for prediction_id, asked, at in session.execute(mine):
        replied_at = last.get(prediction_id)
        if asked and (replied_at is None or at > replied_at):
            found[prediction_id] = "asked"
        else:
            found.setdefault(prediction_id, "said")
    return found
