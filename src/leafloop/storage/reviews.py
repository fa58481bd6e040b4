"""Rows of the review queue: who may have which item next, leases, and opinions. Weighs nothing: `learning.review.worth` did.

An item is taken by one conditional UPDATE on its version, so of two at once the database lets one through, on SQLite and on
PostgreSQL alike.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from leafloop.storage import named
from leafloop.storage.tables import Photo, Prediction, Review, ReviewItem

WAITING = ("open", "second", "disputed")  # the states of items that wait for somebody
ENOUGH = 1000  # a day's work and more: whoever has so many before them need not know how many more there are
OPINIONS = ("accept", "correct", "reject")  # the decisions that say something of the photo; a skip does not
SKIP_REST = timedelta(hours=24)  # a skipped photo comes back to the one who skipped it on another day, with fresh eyes
# Where nobody else reviews, a photo that waits for a second opinion comes back to its first reviewer after a week: as long as
# a colleague's leave may well last, and no photo waits for ever.
SECOND_WAIT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who reviews: a key, and the name of the person who has it. Both None: whoever tries the open service."""

    key_id: str | None
    name: str | None

    @property
    def identity(self) -> str:
        """As leases and labels name a reviewer."""
        return f"{self.key_id or 'open'}/{self.name or ''}"

    @property
    def actor(self) -> str:
        """As the audit log names one."""
        return f"key:{self.key_id}" if self.key_id else "open"


def reviewer_of(review: Review) -> Reviewer:
    """Who gave an opinion."""
    return Reviewer(review.key_id, review.reviewer)


def get(session: Session, item_id: str) -> ReviewItem | None:
    """An item, as it is now."""
    return session.get(ReviewItem, item_id, populate_existing=True)


def of_prediction(session: Session, prediction_id: str) -> ReviewItem | None:
    """The item of an answer."""
    return session.scalar(select(ReviewItem).where(ReviewItem.prediction_id == prediction_id))


# The queue


def in_hand(session: Session, reviewer: Reviewer, at: datetime, *, skip: Collection[str] = ()) -> ReviewItem | None:
    """What this reviewer has a lease on, oldest first: whoever loads the page again gets the same photo."""
    mine = (ReviewItem.leased_until > at, ReviewItem.leased_by == reviewer.identity)
    # A few, by the index of leases; the state is looked at here, else SQLite goes by its index, through all that wait.
    held = session.scalars(select(ReviewItem).where(*mine).order_by(ReviewItem.leased_until))
    return next((item for item in held if item.state in WAITING and item.id not in skip), None)


def first_in_line(
    session: Session, reviewer: Reviewer, at: datetime, *, skip: Collection[str] = (), reason: str | None = None
) -> ReviewItem | None:
    """What is worth this reviewer's next minute most: by priority, then by who waits, then by age.

    A dispute in which this reviewer took part comes only when nothing else is left: a third is the better judge of it.
    """
    state_by_state = [(ReviewItem.state == state, *_free(reviewer, at, skip, reason)) for state in WAITING]
    state_by_state[1] += (~_judged(reviewer, newest=True, since=at - SECOND_WAIT),)
    state_by_state[2] += (~_judged(reviewer),)
    best = [item for wanted in state_by_state if (item := _first(session, wanted)) is not None]
    if not best:
        return _first(session, (ReviewItem.state == "disputed", *_free(reviewer, at, skip, reason)))
    return min(best, key=_order)


def first_of_random_share(
    session: Session, reviewer: Reviewer, at: datetime, *, skip: Collection[str] = ()
) -> ReviewItem | None:
    """The oldest of the random share that nobody has looked at yet."""
    wanted = (ReviewItem.state == "open", ReviewItem.is_random, *_free(reviewer, at, skip, None))
    return session.scalar(select(ReviewItem).where(*wanted).order_by(ReviewItem.created_at, ReviewItem.id).limit(1))


def remaining(session: Session, reviewer: Reviewer, at: datetime) -> int:
    """How many items this reviewer could take now, with those that are in hand; counted up to `ENOUGH`."""
    free = _free(reviewer, at, (), None)
    second = and_(ReviewItem.state == "second", ~_judged(reviewer, newest=True, since=at - SECOND_WAIT))
    state = or_(ReviewItem.state.in_(("open", "disputed")), second)
    some = select(ReviewItem.id).where(state, *free).limit(ENOUGH).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def counts(session: Session) -> dict[str, int]:
    """How many items there are in each state."""
    found = session.execute(select(ReviewItem.state, func.count()).group_by(ReviewItem.state))
    by_state = {row[0]: row[1] for row in found}
    return {state: by_state.get(state, 0) for state in (*WAITING, "done", "rejected")}


def overdue(session: Session, at: datetime) -> int:
    """How many items wait longer than was promised to somebody."""
    late = (ReviewItem.state.in_(WAITING), ReviewItem.due_at < at)
    return session.scalar(select(func.count()).select_from(ReviewItem).where(*late)) or 0


def _first(session: Session, wanted: Sequence[ColumnElement[bool]]) -> ReviewItem | None:
    order = (ReviewItem.priority.desc(), ReviewItem.due_at.asc().nulls_last(), ReviewItem.created_at, ReviewItem.id)
    return session.scalar(select(ReviewItem).where(*wanted).order_by(*order).limit(1))


def _order(item: ReviewItem) -> tuple[Any, ...]:
    due = item.due_at.timestamp() if item.due_at else float("inf")
    return (-item.priority, due, item.created_at, item.id)


def _free(
    reviewer: Reviewer, at: datetime, skip: Collection[str], reason: str | None
) -> tuple[ColumnElement[bool], ...]:
    nobody_has_it = or_(
        ReviewItem.leased_until.is_(None), ReviewItem.leased_until <= at, ReviewItem.leased_by == reviewer.identity
    )
    rested = ~exists().where(
        Review.item_id == ReviewItem.id, Review.decision == "skip", Review.created_at > at - SKIP_REST, *_by(reviewer)
    )
    free: tuple[ColumnElement[bool], ...] = (nobody_has_it, rested)
    if skip:
        free += (ReviewItem.id.not_in(skip),)
    if reason is not None:  # both databases write it so, and codes hold neither % nor quotes
        free += (cast(ReviewItem.reasons, Text).contains(f'"code": "{reason}"', autoescape=True),)
    return free


def _judged(reviewer: Reviewer, *, newest: bool = False, since: datetime | None = None) -> ColumnElement[bool]:
    """Whether this reviewer has an opinion on the item, or is the last one (`newest`) who has."""
    given = [Review.item_id == ReviewItem.id, Review.decision.in_(OPINIONS), *_by(reviewer)]
    if since is not None:
        given.append(Review.created_at > since)
    if newest:
        later = aliased(Review)
        given.append(
            ~exists().where(
                later.item_id == Review.item_id,
                later.decision.in_(OPINIONS),
                later.undone_at.is_(None),
                later.created_at > Review.created_at,
            )
        )
    return exists().where(*given)


def _by(reviewer: Reviewer) -> tuple[ColumnElement[bool], ...]:
    return (
        Review.undone_at.is_(None),
        Review.key_id.is_not_distinct_from(reviewer.key_id),
        Review.reviewer.is_not_distinct_from(reviewer.name),
    )


# Leases


def hold_photo(session: Session, item: ReviewItem) -> str:
    """Until this transaction ends nobody else takes or labels a photo of these bytes; their hash."""
    image_hash = session.scalars(select(Prediction.image_hash).where(Prediction.id == item.prediction_id)).one()
    named.hold(session, image_hash)
    return image_hash


def in_other_hands(session: Session, reviewer: Reviewer, at: datetime) -> Sequence[str]:
    """The items of every photo that somebody else has in hand, by whichever of its answers."""
    theirs = (ReviewItem.leased_until > at, ReviewItem.leased_by != reviewer.identity)
    held = select(Prediction.image_hash).join(ReviewItem, ReviewItem.prediction_id == Prediction.id).where(*theirs)
    chosen = (
        select(ReviewItem.id)
        .join(Prediction, Prediction.id == ReviewItem.prediction_id)
        .join(Photo, Photo.id == Prediction.photo_id)  # which has an index by the hash of the same bytes
        .where(Photo.sha256.in_(held))
    )
    return session.scalars(chosen).all()


def held_by_another(session: Session, image_hash: str, item: ReviewItem, reviewer: Reviewer, at: datetime) -> bool:
    """Whether somebody else has the same photo in hand by another answer: bytes that were sent twice are one photo."""
    chosen = (
        select(ReviewItem.id)
        .join(Prediction, Prediction.id == ReviewItem.prediction_id)
        .where(
            ReviewItem.leased_until > at,
            ReviewItem.leased_by != reviewer.identity,
            ReviewItem.id != item.id,
            Prediction.image_hash == image_hash,
        )
    )
    return session.scalar(chosen.limit(1)) is not None


def prolong(session: Session, item: ReviewItem, reviewer: Reviewer, until: datetime) -> bool:
    """Let a reviewer have for longer what is in hand. False: it is not in this hand any more."""
    mine = (ReviewItem.id == item.id, ReviewItem.version == item.version, ReviewItem.leased_by == reviewer.identity)
    done = session.execute(
        update(ReviewItem).where(*mine).values(leased_until=until).execution_options(synchronize_session=False)
    )
    session.refresh(item)
    return int(done.rowcount) == 1  # type: ignore[attr-defined]  # an UPDATE's result has it


def change(session: Session, item: ReviewItem, **values: Any) -> bool:
    """Change an item that is still as it was read, and count its version up. False: somebody was first."""
    done = session.execute(
        update(ReviewItem)
        .where(ReviewItem.id == item.id, ReviewItem.version == item.version)
        .values(version=ReviewItem.version + 1, **values)
        .execution_options(synchronize_session=False)
    )
    session.refresh(item)
    return int(done.rowcount) == 1  # type: ignore[attr-defined]  # an UPDATE's result has it


# Opinions


def opinions(session: Session, item_id: str) -> Sequence[Review]:
    """The opinions on an item that stand, oldest first."""
    stand = (Review.item_id == item_id, Review.decision.in_(OPINIONS), Review.undone_at.is_(None))
    return session.scalars(select(Review).where(*stand).order_by(Review.created_at, Review.id)).all()


def last_by(session: Session, reviewer: Reviewer) -> Review | None:
    """The last thing that this reviewer decided and that stands."""
    return session.scalar(select(Review).where(*_by(reviewer)).order_by(Review.created_at.desc()).limit(1))


def number_since(session: Session, reviewer: Reviewer, since: datetime) -> int:
    """How many decisions this reviewer has made since."""
    chosen = select(func.count()).select_from(Review).where(Review.created_at >= since, *_by(reviewer))
    return session.scalar(chosen) or 0


def others_since(session: Session, reviewer: Reviewer, since: datetime) -> bool:
    """Whether anybody else has reviewed since."""
    mine = and_(*_by(reviewer)[1:])
    return session.scalar(select(Review.id).where(Review.created_at >= since, ~mine).limit(1)) is not None
