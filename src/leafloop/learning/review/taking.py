"""Taking cases: which one a reviewer gets next, and the lease that keeps it from everybody else. Decides nothing.

Two reviewers never have one photo: the item is taken by one conditional UPDATE, and other items of the same bytes are looked at
under a lock of these bytes. A lease that has run out is anybody's.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from leafloop.errors import DatabaseBusy, NotFound, ReviewConflict
from leafloop.learning.review import cases
from leafloop.learning.review.cases import Case
from leafloop.storage import reviews
from leafloop.storage.reviews import Reviewer, reviewer_of
from leafloop.storage.tables import ReviewItem, now
from leafloop.taxonomy import Taxonomy

# One case in five is the oldest of the random share: at that pace a reviewer's hundred photos give twenty that are a fair sample,
# and the measured accuracy is never older than the queue is long.
RANDOM_EVERY = 5
RACES = 50  # cases that may be lost to others while one is taken: more reviewers at once would be a surprise


def take_next(
    session: Session,
    taxonomy: Taxonomy,
    reviewer: Reviewer,
    *,
    lease_minutes: int,
    skip: Collection[str] = (),
    reason: str | None = None,
) -> Case | None:
    """The next case for this reviewer, leased; what is in hand already comes first, unless it is in `skip`. None: none is left.

    `reason` narrows to items that have it.
    """
    del taxonomy
    at = now()
    if reason is None and (mine := reviews.in_hand(session, reviewer, at, skip=skip)) is not None:
        return _leased(session, mine, reviewer, lease_minutes)
    refused = {*skip, *reviews.in_other_hands(session, reviewer, at)}
    for _ in range(RACES):
        item = _next(session, reviewer, at, refused, reason)
        if item is None:
            return None
        if _lease(session, item, reviewer, lease_minutes, at):
            return cases.build(session, item, reviewer)
        refused.add(item.id)
    raise DatabaseBusy


def take(session: Session, taxonomy: Taxonomy, item_id: str, reviewer: Reviewer, lease_minutes: int) -> Case:
    """One case by its id, leased; also one that is decided, for a second look. Raises `NotFound`, `ReviewConflict`."""
    del taxonomy
    return _leased(session, item_of(session, item_id), reviewer, lease_minutes)


def release(session: Session, item_id: str, reviewer: Reviewer) -> None:
    """Give a case back undecided. One that this reviewer does not have stays as it is. Raises `NotFound`."""
    item = item_of(session, item_id)
    if item.leased_by == reviewer.identity:
        reviews.change(session, item, leased_by=None, leased_until=None)


def item_of(session: Session, item_id: str) -> ReviewItem:
    item = reviews.get(session, item_id)
    if item is None:
        raise NotFound("There is no case by this id.")
    return item


def is_leased(item: ReviewItem, at: datetime) -> bool:
    return item.leased_until is not None and item.leased_until > at


def refuse_own_second(session: Session, item: ReviewItem, reviewer: Reviewer, at: datetime) -> None:
    if item.state != "second":
        return
    first = reviews.opinions(session, item.id)[-1]
    if reviewer_of(first) == reviewer and first.created_at > at - reviews.SECOND_WAIT:
        raise ReviewConflict("This photo waits for somebody else's opinion. To change your own, undo it.")


def _next(
    session: Session, reviewer: Reviewer, at: datetime, skip: Collection[str], reason: str | None
) -> ReviewItem | None:
    if reason is None and _is_random_turn(session, reviewer, at):
        item = reviews.first_of_random_share(session, reviewer, at, skip=skip)
        if item is not None:
            return item
    return reviews.first_in_line(session, reviewer, at, skip=skip, reason=reason)


def _is_random_turn(session: Session, reviewer: Reviewer, at: datetime) -> bool:
    """Every fifth turn of the day. The day's own number is added, so that it also comes to one who does three photos a day."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return (reviews.number_since(session, reviewer, midnight) + at.toordinal() + 1) % RANDOM_EVERY == 0


def _lease(session: Session, item: ReviewItem, reviewer: Reviewer, minutes: int, at: datetime) -> bool:
    """False: somebody else was first, with this item or with another one of the same photo."""
    image_hash = reviews.hold_photo(session, item)
    if reviews.held_by_another(session, image_hash, item, reviewer, at):
        return False
    until = at + timedelta(minutes=minutes)
    return reviews.change(session, item, leased_by=reviewer.identity, leased_until=until)


def _leased(session: Session, item: ReviewItem, reviewer: Reviewer, minutes: int) -> Case:
    """A case that this reviewer may have. A lease of one's own is prolonged, and the version stays: nothing has changed."""
    at = now()
    refuse_own_second(session, item, reviewer, at)
    if item.leased_by == reviewer.identity:
        taken = reviews.prolong(session, item, reviewer, at + timedelta(minutes=minutes))
    else:
        taken = not is_leased(item, at) and _lease(session, item, reviewer, minutes, at)
    if not taken:
        raise ReviewConflict("Somebody else has this photo in hand. Take the next one.")
    return cases.build(session, item, reviewer)
