"""The likenesses of labelled photos: computed once where they are missing, and given in batches. Decides nothing.

A likeness is kept with the photo's row. A label may outlive that row: then its likeness is computed from the kept copy each time,
which is rare and slow rather than wrong.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from leafloop.errors import BlobCorrupt, BlobMissing, PhotoError
from leafloop.learning.snapshots.duplicates import Numbers
from leafloop.storage import snapshots
from leafloop.storage.blobs import BlobStore
from leafloop.storage.ledger import Ledger
from leafloop.vision import likeness
from leafloop.vision.likeness import BYTES, Words
from leafloop.vision.photo import read_kept

HEAD = 1 + BYTES  # the method and the hash of the whole
BATCH = 250  # photos at a time: their likenesses take some megabytes

Say = Callable[[str, int, int], None]  # what is done, how many are, of how many


@dataclass
class Known:
    """What is not in a row of its own: `homeless` likenesses by hash, and photos whose object is lost or cannot be read."""

    homeless: dict[str, bytes] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)


def fill(ledger: Ledger, blobs: BlobStore, say: Say) -> Known:
    """Compute what is missing, from the kept copies. Stopped and run again it goes on. Raises the `Unavailable` errors."""
    known, after, done = Known(), "", 0
    with ledger.reading() as session:
        total = snapshots.meant(session)
        gone = snapshots.without_label(session)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:  # decoding and hashing leave the interpreter free
        for some in (gone[begin : begin + BATCH] for begin in range(0, len(gone), BATCH)):
            _fill(ledger, blobs, {row.image_hash: row.stored_sha256 for row in some}, pool, known)
        known.lost.clear()  # of photos that are in no new snapshot anyway
        while True:
            with ledger.reading() as session:
                rows = snapshots.labels(session, after=after, limit=BATCH)
            if not rows:
                return known
            _fill(ledger, blobs, {row.image_hash: row.image_path for row in rows if row.meant}, pool, known)
            after, done = rows[-1].image_hash, done + len(rows)
            say("likenesses", min(done, total), total)


def _fill(ledger: Ledger, blobs: BlobStore, stored: Mapping[str, str], pool: ThreadPoolExecutor, known: Known) -> None:
    """`stored`: key of the kept copy by hash of the bytes received."""
    with ledger.reading() as session:
        heads = snapshots.sent(session, stored, HEAD)
    missing = [each for each in stored if not (each in heads and likeness.is_current(heads[each].head))]
    values = pool.map(lambda each: _computed(blobs, stored[each]), missing)
    _keep(ledger, dict(zip(missing, values, strict=True)), set(heads), known)


def _computed(blobs: BlobStore, key: str) -> bytes | None:
    try:
        return likeness.of(read_kept(blobs.get(key)))
    except (BlobMissing, BlobCorrupt, PhotoError):
        return None


def _keep(ledger: Ledger, computed: Mapping[str, bytes | None], with_row: set[str], known: Known) -> None:
    known.lost |= {image_hash for image_hash, value in computed.items() if value is None}
    found = {image_hash: value for image_hash, value in computed.items() if value is not None}
    known.homeless |= {image_hash: value for image_hash, value in found.items() if image_hash not in with_row}
    if homed := {image_hash: value for image_hash, value in found.items() if image_hash in with_row}:
        with ledger.transaction() as session:
            snapshots.set_likeness(session, homed)


def batches(
    ledger: Ledger, hashes: Sequence[str], numbers: Numbers, known: Known, say: Say
) -> Iterator[tuple[Numbers, Words]]:
    """(numbers, their windows' hashes) of photos by hash, some at a time. One whose likeness is gone meanwhile is passed over."""
    for begin in range(0, len(hashes), BATCH):
        some = hashes[begin : begin + BATCH]
        with ledger.reading() as session:
            found = snapshots.likenesses(session, some)
        found |= {each: known.homeless[each] for each in some if each in known.homeless}
        there = [n for n, each in enumerate(some, begin) if likeness.is_current(found.get(each))]
        if there:
            words = np.stack([likeness.hashes(found[hashes[n]]) for n in there])
            yield numbers[there], words
        say("near-duplicates", min(begin + BATCH, len(hashes)), len(hashes))
