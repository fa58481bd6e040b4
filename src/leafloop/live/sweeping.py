"""Takes away what interrupted work left behind: objects that no row names, half-written files, old uploads and Idempotency-Keys.

Nothing that a row names is ever removed, nor what may still be under way: each kind has an age that no living work reaches. Several
replicas may sweep at once; the second finds nothing left. Knows no photo.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

from leafloop import log, metrics
from leafloop.errors import LeafloopError
from leafloop.live import erasing
from leafloop.live.uploads import UPLOAD_AGE
from leafloop.storage import idempotency, named, uploads
from leafloop.storage.blobs import BlobStore
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import now

_log = log.get(__name__)

ORPHAN_AGE = timedelta(days=1)  # a row follows its object within seconds; a day leaves time to look, after an incident
DRAFT_AGE = timedelta(hours=1)  # a file is written within seconds, also on a disk that is nearly dead
CLAIM_AGE = timedelta(hours=1)  # whoever claimed a key is done, or taken over, within a minute
ANSWER_AGE = timedelta(days=7)  # a phone that was out of the net for a working week may still repeat its request
SWEEP_EVERY = timedelta(hours=1)
FIRST_AFTER_S = 60.0  # a service that starts has other things to do
BATCH = 500  # rows in one transaction: writers wait for it on SQLite


@dataclass(frozen=True)
class Swept:
    """How many of each were removed, or would be."""

    objects: int
    drafts: int
    keys: int
    uploads: int = 0


@dataclass(frozen=True)
class Sweepable:
    """What is swept: the ledger, the object store, and the folder into which bundles are unpacked."""

    ledger: Ledger
    blobs: BlobStore
    cache: Path


def sweep(place: Sweepable, *, dry_run: bool = False) -> Swept:
    """Remove all leftovers that are old enough. Raises the `Unavailable` errors."""
    begun = _uploads(place, dry_run)
    swept = Swept(_objects(place, dry_run), _drafts(place, dry_run), _keys(place, dry_run), begun)
    if not dry_run:
        for kind, count in asdict(swept).items():
            metrics.SWEPT.labels(kind=kind).inc(count)
        _log.info("swept", **asdict(swept))
    return swept


def _objects(place: Sweepable, dry_run: bool) -> int:
    before, count = _ago(ORPHAN_AGE), 0
    old = (stored.name for stored in place.blobs.objects() if stored.modified < before)
    while keys := list(islice(old, BATCH)):
        with place.ledger.reading() as session:
            orphans = set(keys) - named.among(session, keys)
        count += len(orphans)
        if not dry_run:
            erasing.remove_objects(place.ledger, place.blobs, orphans)
    return count


def _uploads(place: Sweepable, dry_run: bool) -> int:
    """Uploads that nobody goes on with. A photo that was answered keeps its answer; pieces of others go with them."""
    before = now() - UPLOAD_AGE
    if dry_run:
        with place.ledger.reading() as session:
            return uploads.count_begun_before(session, before)
    count, gone = 0, BATCH
    while gone == BATCH:
        with place.ledger.transaction() as session:
            old = uploads.begun_before(session, before, limit=BATCH)
            keys = uploads.remove(session, old)
        erasing.remove_objects(place.ledger, place.blobs, keys)
        gone = len(old)
        count += gone
    return count


def _drafts(place: Sweepable, dry_run: bool) -> int:
    old = [draft for draft in place.blobs.drafts() if draft.modified < _ago(DRAFT_AGE)]
    folders = list(_unpacking(place.cache))
    if not dry_run:
        for draft in old:
            place.blobs.discard(draft)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    return len(old) + len(folders)


def _unpacking(cache: Path) -> Iterator[Path]:
    """Bundles that were being unpacked when their process died."""
    for folder in cache.glob(".fetch-*"):
        with suppress(FileNotFoundError):  # somebody else has just removed it
            if folder.stat().st_mtime < _ago(DRAFT_AGE):
                yield folder


def _keys(place: Sweepable, dry_run: bool) -> int:
    answered, claimed = now() - ANSWER_AGE, now() - CLAIM_AGE
    if dry_run:
        with place.ledger.reading() as session:
            return idempotency.forgettable(session, answered_before=answered, claimed_before=claimed)
    count, gone = 0, BATCH
    while gone == BATCH:
        with place.ledger.transaction() as session:
            gone = idempotency.forget(session, answered_before=answered, claimed_before=claimed, limit=BATCH)
        count += gone
    return count


def _ago(age: timedelta) -> float:
    return time.time() - age.total_seconds()


class Sweeper:
    """Sweeps beside the service: a minute after its start, then every hour. `first` is done before, `then` after it, each time."""

    def __init__(
        self,
        place: Sweepable,
        *,
        first: Callable[[], object] = lambda: None,
        then: Callable[[], object] = lambda: None,
        first_after_s: float = FIRST_AFTER_S,
    ) -> None:
        self._place, self._first, self._then, self._pause = place, first, then, first_after_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leafloop-sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Begin no more. One that is under way may be left where it is: it can be stopped at any point."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            self._pause = SWEEP_EVERY.total_seconds()
            try:
                self._first()
                sweep(self._place)
                self._then()
            except LeafloopError as error:
                _log.warning("could not sweep", code=error.code, detail=error.detail)
            # A sweeper that dies would be missed by nobody until the disk is full.
            except Exception:  # noqa: BLE001
                _log.exception("could not sweep")
