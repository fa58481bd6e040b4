"""Takes out what is no longer kept, batch by batch: rows and their audit entry in one transaction, then the objects.

A stop at any point loses nothing and leaves nothing for long: the entry of a batch lists its objects until they are gone, and the
next run begins with those. What is due, `learning.keeping.retention` says; who is to be forgotten, `learning.keeping.erasure`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from leafloop import log
from leafloop.learning.keeping import retention
from leafloop.learning.keeping.retention import Batch, Cutoffs
from leafloop.live import erasing
from leafloop.live.parts import Store
from leafloop.storage import audit
from leafloop.storage.tables import now

PURGE, ERASE = "data.purge", "data.erase"
_log = log.get(__name__)
DAY = timedelta(days=1)  # settings are in days
AUDIT_BATCH = 5000  # small rows without anything that hangs on them

Take = Callable[[Session, tuple[Any, ...] | None], Batch]


@dataclass(frozen=True)
class Purged:
    """What went, or would go: counts by kind, objects (0 in a dry run: not known before); and what is old and stays, with why."""

    dry_run: bool
    keep_days: dict[str, int]
    removed: dict[str, int]
    objects: int
    stays: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def purge(store: Store, *, dry_run: bool = False, actor: str = "cli") -> Purged:
    """Remove all that is kept longer than the settings say. Raises the `Unavailable` errors; run again, it goes on."""
    limits = retention.cutoffs(store.settings, now())
    removed: Counter[str] = Counter(labels=0, answers=0, photos=0, words=0, audit_entries=0)
    objects = 0
    if dry_run:
        with store.ledger.reading() as session:
            removed.update(retention.due(session, limits))
            removed["audit_entries"] = 0 if limits.audit is None else audit.purgeable(session, limits.audit)[1]
    else:
        store.blobs.refuse_when_away()
        finish(store)
        for take in (retention.take_labels, retention.take_answers, retention.take_photos, retention.take_words):
            gone = run(store, _within(limits, take), action=PURGE, actor=actor, reason="kept long enough")
            removed.update(gone.counts)
            objects += gone.objects
        removed["audit_entries"] = _purge_audit(store, limits, actor)
    with store.ledger.reading() as session:
        stays = retention.what_stays(session, limits)
    return Purged(dry_run, days_of(store), dict(removed), objects, stays)


class Daily:
    """Purges once a day where a setting says so, and soon after a start; to be asked as often as one likes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._due = now()

    def __call__(self) -> None:
        """Raises the `Unavailable` errors; the next call tries again."""
        if not any(days_of(self._store).values()) or now() < self._due:
            return
        done = purge(self._store, actor="service")
        self._due = now() + DAY
        _log.info("purged", objects=done.objects, **done.removed)


def days_of(store: Store) -> dict[str, int]:
    """The settings in force, in days; 0: for ever."""
    return {kind: getattr(store.settings, f"keep_{kind}_days") for kind in ("photos", "labels", "feedback", "audit")}


@dataclass
class Gone:
    """What a run took: counts by kind, how many objects, and the keys of those that others name as well."""

    counts: Counter[str] = field(default_factory=Counter)
    objects: int = 0
    shared: set[str] = field(default_factory=set)


def run(store: Store, take: Take, *, action: str, actor: str, reason: str) -> Gone:
    """Take batches until there is none."""
    gone, after = Gone(), None
    while True:
        with store.ledger.transaction() as session:
            batch = take(session, after)
            if not batch:
                return gone
            detail = {**batch.counts, "objects": batch.objects}
            entry = audit.record(session, actor=actor, action=action, reason=reason, detail=detail)
        gone.counts.update(batch.counts)
        gone.objects += _remove(store, entry.id, batch.objects)
        gone.shared |= set(batch.shared)
        after = batch.after


def finish(store: Store) -> int:
    """Remove the objects of batches that were stopped before they did. How many."""
    with store.ledger.reading() as session:
        left = audit.with_objects(session, (PURGE, ERASE))
    return sum(_remove(store, number, objects) for number, objects in left)


def _remove(store: Store, number: int, objects: list[str]) -> int:
    erasing.remove_objects(store.ledger, store.blobs, objects)
    with store.ledger.transaction() as session:
        audit.forget_objects(session, number)
    return len(objects)


def _within(limits: Cutoffs, take: Callable[[Session, Cutoffs, tuple[Any, ...] | None], Batch]) -> Take:
    return lambda session, after: take(session, limits, after)


def _purge_audit(store: Store, limits: Cutoffs, actor: str) -> int:
    if limits.audit is None:
        return 0
    total, gone = 0, AUDIT_BATCH
    while gone == AUDIT_BATCH:
        with store.ledger.transaction() as session:
            gone = audit.purge(session, limits.audit, actor=actor, limit=AUDIT_BATCH)
        total += gone
    return total
