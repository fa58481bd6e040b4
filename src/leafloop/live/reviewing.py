"""Review as a service does it: each call one transaction, its answer plain data. What API and pages share; decides nothing.

Every function that answers with a case gives `learning.review.cases.Case.as_dict()`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from leafloop import metrics
from leafloop.errors import NotFound, ReviewConflict
from leafloop.learning.labels import correcting, likeness_search
from leafloop.learning.labels import doubtful as doubts
from leafloop.learning.review import deciding
from leafloop.learning.review.deciding import Decision, Reviewer
from leafloop.live.parts import Store
from leafloop.storage import labels
from leafloop.storage.reviews import WAITING
from leafloop.vision import sniff

Plain = dict[str, Any]
MEDIA_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}  # of kept copies


def reviewer(key_id: str | None, label: str) -> Reviewer:
    """Who a caller is as a reviewer: a key is made for one person, and its label is that person's name."""
    return Reviewer(key_id, (label or None) if key_id else None)


def take_next(store: Store, who: Reviewer, *, skip: Collection[str] = (), reason: str | None = None) -> Plain | None:
    """The next case, leased; None: there is none. `skip`: ids of cases that are in hand already, to fetch the one after."""
    minutes = store.settings.review_lease_minutes
    likeness_search.look(store.ledger)
    with store.ledger.transaction() as session:
        case = deciding.take_next(session, store.taxonomy, who, lease_minutes=minutes, skip=skip, reason=reason)
        return None if case is None else case.as_dict()


def take(store: Store, who: Reviewer, item_id: str) -> Plain:
    """One case by its id, leased. Raises `NotFound`, `ReviewConflict`."""
    likeness_search.look(store.ledger)
    with store.ledger.transaction() as session:
        return deciding.take(session, store.taxonomy, item_id, who, store.settings.review_lease_minutes).as_dict()


def decide(store: Store, who: Reviewer, item_id: str, version: int, decision: Decision) -> Plain:
    """Decide a case: `{review_id, item_id, state, version, label}`; `label` is `{id, strength, revision}` or None.

    Raises `NotFound`, `RequestInvalid`, `ReviewConflict`.
    """
    share = store.settings.review_second_share
    with store.ledger.transaction() as session:
        done = deciding.decide(session, store.taxonomy, item_id, version, who, decision, second_share=share)
        answer = deciding.outcome_of(session, done)
    metrics.REVIEWS.labels(decision=decision.decision).inc()
    return answer


def undo(store: Store, who: Reviewer, *, review_id: str | None = None) -> Plain | None:
    """Take the last decision back: its case, leased again; None: there is none. Raises `NotFound`, `ReviewConflict`."""
    minutes = store.settings.review_lease_minutes
    with store.ledger.transaction() as session:
        case = deciding.undo(session, store.taxonomy, who, lease_minutes=minutes, review_id=review_id)
        return None if case is None else case.as_dict()


def release(store: Store, who: Reviewer, item_id: str) -> None:
    """Give a case back undecided. Raises `NotFound`."""
    with store.ledger.transaction() as session:
        deciding.release(session, item_id, who)


def queue(store: Store) -> Plain:
    """How many cases there are in each state, and the measured accuracy of the random share."""
    with store.ledger.reading() as session:
        counted = deciding.queue_counts(session)
    for state in WAITING:
        metrics.REVIEW_ITEMS.labels(state=state).set(counted[state])
    return counted


def agreement(store: Store) -> Plain:
    """How far reviewers agree."""
    with store.ledger.reading() as session:
        return deciding.agreement(session)


def doubtful(store: Store, *, limit: int = 50) -> Plain:
    """Labels that are likely mistakes, the likeliest first: `{items: [...]}`."""
    likeness_search.look(store.ledger)
    with store.ledger.reading() as session:
        return {"items": [found.as_dict() for found in doubts.ranked(session, limit=limit)]}


def look_again(store: Store, who: Reviewer, label_id: str, revision: int, said: Mapping[str, Any]) -> None:
    """A reviewer stands by a label (`said` is `{"is_validated": True}`), or corrects it as `learning.labels.correcting` can.

    Raises `NotFound`, `ReviewConflict` for a label that says something else by now, and what `correcting.correct` raises.
    """
    with store.ledger.transaction() as session:
        label = labels.get(session, label_id)
        if label is None:
            raise NotFound("There is no label by this id.")
        if label.revision != revision:
            raise ReviewConflict("Somebody else has changed this label meanwhile. Look at it again.")
        correcting.correct(session, store.taxonomy, label, said, who)


def label_photo(store: Store, label_id: str) -> tuple[str, str, bytes]:
    """Media type, key and bytes of the photo that a label is about. Raises `NotFound`, `BlobMissing`."""
    with store.ledger.reading() as session:
        label = labels.get(session, label_id)
        if label is None:
            raise NotFound("There is no label by this id.")
        key = label.image_path
    data = store.blobs.get(key)
    return MEDIA_TYPES[sniff.format_of(data)], key, data
