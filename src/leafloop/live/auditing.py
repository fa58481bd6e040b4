"""The audit: is everything that was acknowledged still there, whole, and named once? Operators run it after any incident.

`leafloop doctor --audit` prints it. It reads every object, one at a time, beside a service that runs; it changes nothing, except
that an object found rotten is set aside (`storage.folder`). What must not be is a finding that is not ok; leftovers that sweeping
will take are only told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from leafloop.errors import BlobCorrupt, BlobMissing, DatabaseUnavailable, LeafloopError
from leafloop.live.parts import BUNDLED
from leafloop.live.serving import CHAMPION
from leafloop.live.sweeping import CLAIM_AGE, DRAFT_AGE, SWEEP_EVERY
from leafloop.storage import integrity, models, named, snapshots
from leafloop.storage.blobs import BlobStore, Stored
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Model, now

BATCH = 500  # rows a look, so that no look holds the database for long and none needs much memory
SHOWN = 5  # ids in a sentence: enough to begin with; the count says how many there are
LATE = SWEEP_EVERY + timedelta(minutes=10)  # leftovers may be this much older than their age while a service sweeps


@dataclass(frozen=True)
class Finding:
    """What one check found; `mend` is what to do, empty when it is well."""

    check: str
    ok: bool
    detail: str
    mend: str = ""


@dataclass(frozen=True)
class Kept:
    """What is audited. `on_object(done, of)` is told of each photo's object that was read."""

    ledger: Ledger
    blobs: BlobStore
    on_object: Callable[[int, int], None] = lambda _done, _of: None


def audit(kept: Kept) -> Iterator[Finding]:
    """One finding a check. What cannot be looked at is a finding too: an audit ends with a word on everything."""
    for name, check in _CHECKS.items():
        try:
            trouble, detail, mend = check(kept)
        except LeafloopError as error:
            trouble, detail, mend = True, error.detail, _UNREACHABLE
        yield Finding(name, not trouble, detail, mend if trouble else "")


_Said = tuple[bool, str, str]  # is there trouble, what was found, and how to mend it
_UNREACHABLE = "Run 'leafloop doctor': it says which part is away. Then audit again."
_RESTORE = "Restore the database from a backup, beside this one, and compare: rows were changed by other means than Leafloop's."


def _file(kept: Kept) -> _Said:
    try:
        with kept.ledger.reading() as session:
            faults = integrity.faults_of_the_file(session)
    except DatabaseUnavailable as error:
        faults = [error.detail]
    if faults is None:
        return False, "not in use: the database server checks its own files", ""
    mend = "Stop the service, keep a copy of the files, and restore the database from a backup (docs/RELIABILITY.md)."
    return bool(faults), _many(faults, "faults in the database file") if faults else "the database file is whole", mend


def _answers(kept: Kept) -> _Said:
    with kept.ledger.reading() as session:
        count, strays = integrity.answers(session), integrity.answers_without_photo(session)
    if not strays:
        return False, f"{count} answers, each with its photo's row", ""
    return True, _many(strays, f"of {count} answers have no photo's row"), _RESTORE


def _photos(kept: Kept) -> _Said:
    """Every object that a photo names, read and hashed."""
    with kept.ledger.reading() as session:
        total = integrity.photo_objects(session)
    bad: list[str] = []
    for done, key in enumerate(_photo_keys(kept.ledger), 1):
        bad += _photo_fault(kept, key)
        kept.on_object(done, total)
    if not bad:
        return False, f"{total} photos, each as it was stored", ""
    return (
        True,
        _many(bad, f"of {total} photos cannot be given"),
        "Bring these objects back from a backup of the object store, or have the same photos sent again: either heals them.",
    )


def _photo_keys(ledger: Ledger) -> Iterator[str]:
    keys: list[str] = [""]
    while keys:
        with ledger.reading() as session:
            keys = named.by_photos(session, after=keys[-1], limit=BATCH)
        yield from keys


def _photo_fault(kept: Kept, key: str) -> list[str]:
    fault = _fault(kept.blobs, key)
    if not fault:
        return []
    with kept.ledger.reading() as session:
        about, is_named = integrity.answers_about(session, key), named.is_named(session, key)
    if not is_named:  # it was deleted while we looked
        return []
    return [f"{key} ({fault}; {'answer ' + ', '.join(about[:SHOWN]) if about else 'of a dataset'})"]


def _labels(kept: Kept) -> _Said:
    """Every object that only labels name: a label may outlive the answer that it came from."""
    bad = _faults(kept, named.by_labels)
    if bad:
        return True, _many(bad, "objects of labels cannot be given"), _BACKUP
    return False, "every label has its photo", ""


def _snapshots(kept: Kept) -> _Said:
    """Manifests and parts, and photos that nothing else names; those with a tombstone are gone on purpose."""
    with kept.ledger.reading() as session:
        rows = snapshots.newest(session)
    keys = {key: row.hash for row in reversed(rows) for key in (row.hash, *row.parts)}
    bad = [f"{key} ({fault}; of snapshot {of[:12]})" for key, of in keys.items() if (fault := _fault(kept.blobs, key))]
    bad += _faults(kept, named.by_snapshots)
    if bad:
        return True, _many(bad, f"objects of {len(rows)} snapshots cannot be given"), _BACKUP
    return False, f"{len(rows)} snapshots, every part whole and every photo there or erased for good", ""


_BACKUP = (
    "Bring these objects back from a backup of the object store; 'leafloop data verify' says which photos they are. A snapshot "
    "that cannot be mended stays as it is: make a new one of the labels that are there."
)


def _faults(kept: Kept, keys_after: Callable[..., list[str]]) -> list[str]:
    bad: list[str] = []
    keys: list[str] = [""]
    while keys:
        with kept.ledger.reading() as session:
            keys = keys_after(session, after=keys[-1], limit=BATCH)
        bad += [f"{key} ({fault})" for key in keys if (fault := _fault(kept.blobs, key))]
    return bad


def _models(kept: Kept) -> _Said:
    with kept.ledger.reading() as session:
        versions = [model for model, _ in models.list_all(session)]
    bad = [fault for model in versions for fault in _bundle_faults(kept.blobs, model)]
    detail = _many(bad, "objects of models cannot be given") if bad else f"{len(versions)} models, every file whole"
    return bool(bad), detail, _IMPORT


_IMPORT = (
    "Import the same bundle again: that puts its files back ('leafloop models import FOLDER'; the model that the package brings "
    f"lies in {BUNDLED})."
)


def _bundle_faults(blobs: BlobStore, model: Model) -> list[str]:
    objects = named.of_model(model)
    return [
        f"{name} of version {model.version} ({fault}, {key})"
        for key, name in objects.items()
        if (fault := _fault(blobs, key))
    ]


def _champion(kept: Kept) -> _Said:
    with kept.ledger.reading() as session:
        pointer = models.pointer(session, CHAMPION)
        model = models.get(session, pointer.version) if pointer else None
    if model is None:
        return (
            True,
            "no model is promoted",
            "Run 'leafloop models list', then 'leafloop models promote VERSION --reason WHY'.",
        )
    faults = _bundle_faults(kept.blobs, model)
    detail = f"version {model.version}, bundle {model.bundle_hash[:12]}" + (", cannot be loaded anew" if faults else "")
    return bool(faults), detail, f"{_IMPORT} Or go back: 'leafloop models rollback --reason WHY'."


def _keys(kept: Kept) -> _Said:
    with kept.ledger.reading() as session:
        strays = integrity.keys_without_answer(session)
        stuck = integrity.keys_claimed_before(session, now() - CLAIM_AGE - LATE)
    if strays:
        return True, _many(strays, "Idempotency-Keys hold an answer that is not there"), _RESTORE
    if stuck:
        return True, _many(stuck, "Idempotency-Keys were claimed by a process that died"), _SWEEP
    return False, "every Idempotency-Key holds an answer that is there", ""


_SWEEP = "Run 'leafloop db sweep'. A service that runs does it every hour: see its log for why it did not."


def _drafts(kept: Kept) -> _Said:
    oldest_allowed = time.time() - (DRAFT_AGE + LATE).total_seconds()
    old = [draft.name for draft in kept.blobs.drafts() if draft.modified < oldest_allowed]
    return (
        bool(old),
        _many(old, "half-written files were left behind") if old else "nothing half-written was left",
        _SWEEP,
    )


def _orphans(kept: Kept) -> _Said:
    """Objects that no row names: what a stop between object and row leaves. They harm nobody and are swept after a day."""
    count, size, oldest = 0, 0, time.time()
    for batch in _batches(kept.blobs.objects()):
        with kept.ledger.reading() as session:
            names = named.among(session, [stored.name for stored in batch])
        for stored in batch:
            if stored.name not in names:
                count, size, oldest = count + 1, size + stored.bytes, min(oldest, stored.modified)
    age = timedelta(seconds=round(max(0.0, time.time() - oldest)))
    note = (
        f"{count} objects ({size} bytes) are named by no row; the oldest is {age} old"
        if count
        else "no object is left over"
    )
    return False, note, ""


def _history(kept: Kept) -> _Said:
    with kept.ledger.reading() as session:
        count, missing = integrity.audit_entries(session)
    if missing:
        return True, f"{missing} entries of the audit log are missing beside {count}", _RESTORE
    return False, f"{count} entries in the audit log" + ("" if missing is None else ", none missing"), ""


_CHECKS: dict[str, Callable[[Kept], _Said]] = {
    "file": _file,
    "answers": _answers,
    "photos": _photos,
    "labels": _labels,
    "snapshots": _snapshots,
    "models": _models,
    "champion": _champion,
    "idempotency": _keys,
    "drafts": _drafts,
    "orphans": _orphans,
    "history": _history,
}


def _fault(blobs: BlobStore, key: str) -> str:
    try:
        blobs.verify(key)
    except BlobMissing:
        return "missing"
    except BlobCorrupt:
        return "rotten"
    return ""


def _many(names: Sequence[str], what: str) -> str:
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}"


def _batches(stored: Iterator[Stored]) -> Iterator[list[Stored]]:
    while batch := list(islice(stored, BATCH)):
        yield batch
