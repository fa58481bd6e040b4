"""Rows of what people said, and the review that stands on an answer: held, found, counted. What they mean is not known here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from leafloop.storage import paging
from leafloop.storage.tables import Feedback, Prediction, Review, ReviewItem

CURRENT = ("pending", "accepted", "overruled")
DECIDING = ("accept", "correct")
_Author = tuple[str | None, str | None]


@dataclass(frozen=True)
class Filters:
    """What to list; None means any. Withdrawn words are listed only when `status` asks for them. `key_id`, `keyless`: whose."""

    prediction_id: str | None = None
    is_correct: bool | None = None
    status: str | None = None
    user_id: str | None = None
    key_id: str | None = None
    keyless: bool = False


def hold(session: Session, prediction_id: str) -> bool:
    """Until this transaction ends nobody else says, settles or withdraws a word on this answer. False: the answer is gone.

    Whoever also changes the answer's review item has to hold the answer first, else two may wait for each other.
    """
    session.connection()  # on SQLite a writing transaction holds everything from here on
    row = select(Prediction.id).where(Prediction.id == prediction_id).with_for_update()
    return session.scalar(row) is not None


def get(session: Session, feedback_id: str) -> Feedback | None:
    return session.get(Feedback, feedback_id)


def of_author(session: Session, prediction_id: str, key_id: str | None, user_id: str | None) -> Sequence[Feedback]:
    """Every word of an author on an answer, oldest first."""
    return _oldest_first(session, Feedback.prediction_id == prediction_id, *_author(key_id, user_id))


def current(session: Session, prediction_id: str) -> Sequence[Feedback]:
    """The word that counts, of each author; oldest first."""
    return _oldest_first(session, Feedback.prediction_id == prediction_id, Feedback.status.in_(CURRENT))


def all_of(session: Session, prediction_id: str) -> Sequence[Feedback]:
    """Every word of everybody on an answer, oldest first."""
    return _oldest_first(session, Feedback.prediction_id == prediction_id)


def pending_of(session: Session, key_id: str | None, user_id: str | None, *, limit: int) -> Sequence[Prediction]:
    """The answers on which a word of this author's waits, the newest first, each held as `hold` does.

    Those that somebody else holds are left out: two who hold one answer and want the other's would wait for each other.
    """
    chosen = select(Prediction).join(Feedback, Feedback.prediction_id == Prediction.id)
    chosen = chosen.where(Feedback.status == "pending", *_author(key_id, user_id)).order_by(Feedback.timestamp.desc())
    return session.scalars(chosen.limit(limit).with_for_update(of=Prediction, skip_locked=True)).all()


def standing_review(session: Session, prediction_id: str) -> Review | None:
    """The review that decides what an answer's photo shows: the latest not undone, unless another opinion is waited for."""
    return _latest_review(session, prediction_id, DECIDING)


def reply(session: Session, prediction_id: str) -> Review | None:
    """The review that a person who asked is told of; also one that could not use the photo, and says why."""
    return _latest_review(session, prediction_id, (*DECIDING, "reject"))


def settled_counts(session: Session, authors: Iterable[_Author]) -> dict[_Author, tuple[int, int]]:
    """(accepted, overruled) as reviews judged claims, by author (key, user); authors without any are left out.

    One or two queries a key, however many people speak within it.
    """
    by_key: dict[str | None, set[str | None]] = {}
    for key_id, user_id in authors:
        by_key.setdefault(key_id, set()).add(user_id)
    found: dict[_Author, tuple[int, int]] = {}
    for key_id, users in by_key.items():
        named = [user for user in users if user is not None]
        if named:
            found |= _settled(session, Feedback.key_id == key_id, Feedback.user_id.in_(named))
        if None in users:
            found |= _settled(session, Feedback.key_id == key_id, Feedback.user_id.is_(None))
    return found


def _settled(session: Session, *whose: ColumnElement[bool]) -> dict[_Author, tuple[int, int]]:
    of_each = (func.sum(case((Feedback.judged == judged, 1), else_=0)) for judged in ("accepted", "overruled"))
    wanted = (*whose, Feedback.judged.is_not(None))
    author = (Feedback.key_id, Feedback.user_id)
    counted = session.execute(select(*author, *of_each).where(*wanted).group_by(*author))
    return {(row[0], row[1]): (int(row[2]), int(row[3])) for row in counted}


def overruled_authors(session: Session) -> Sequence[tuple[str | None, str | None, int, int]]:
    """(key, user, accepted, overruled) of everybody whom a review overruled."""
    accepted = func.sum(case((Feedback.judged == "accepted", 1), else_=0))
    overruled = func.sum(case((Feedback.judged == "overruled", 1), else_=0))
    chosen = (
        select(Feedback.key_id, Feedback.user_id, accepted, overruled)
        .where(Feedback.judged.is_not(None))
        .group_by(Feedback.key_id, Feedback.user_id)
        .having(overruled > 0)
    )
    return [(row[0], row[1], int(row[2]), int(row[3])) for row in session.execute(chosen)]


def find(
    session: Session, filters: Filters, *, limit: int = 100, offset: int = 0, cursor: str | None = None
) -> paging.Page[Feedback]:
    """Words, newest first. Raises `RequestInvalid` for a cursor that no list gave."""
    return paging.find(session, Feedback, _conditions(filters), limit=limit, offset=offset, cursor=cursor)


def _latest_review(session: Session, prediction_id: str, decisions: Sequence[str]) -> Review | None:
    latest = (
        select(Review)
        .join(ReviewItem, ReviewItem.id == Review.item_id)
        .where(Review.prediction_id == prediction_id, Review.undone_at.is_(None), Review.decision.in_(decisions))
        .where(ReviewItem.state.not_in(("second", "disputed")))
        .order_by(Review.created_at.desc(), Review.id.desc())
        .limit(1)
    )
    return session.scalar(latest)


def _oldest_first(session: Session, *wanted: ColumnElement[bool]) -> Sequence[Feedback]:
    chosen = select(Feedback).where(*wanted).order_by(Feedback.timestamp, Feedback.id)
    return session.scalars(chosen.execution_options(populate_existing=True)).all()


def _author(key_id: str | None, user_id: str | None) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Of None SQLAlchemy makes `IS NULL`: nobody is one author, not all. (`IS NOT DISTINCT FROM` would use no index.)"""
    return Feedback.key_id == key_id, Feedback.user_id == user_id


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    exact: dict[Any, Any] = {
        Feedback.prediction_id: filters.prediction_id,
        Feedback.is_correct: filters.is_correct,
        Feedback.status: filters.status,
        Feedback.user_id: filters.user_id,
        Feedback.key_id: filters.key_id,
    }
    wanted = [column == value for column, value in exact.items() if value is not None]
    if filters.status is None:
        wanted.append(Feedback.status != "withdrawn")
    return [*wanted, Feedback.key_id.is_(None)] if filters.keyless else wanted
