"""Confirmed photos that look like one that is judged: the nearest labels by perceptual hash. Knows no pixels.

Only the hash of the whole photo is searched (32 of its 5,345 bytes), in all eight positions of the photo that is judged: whoever
judges wants to see the like of it, and copies that are cut out of it are for `learning.snapshots.duplicates` to find. The hashes of
all labels are held in memory (3.2 MB for 100,000); `look` brings them up to date, outside of any transaction that others wait for.
"""

from __future__ import annotations

import threading
import time
import weakref
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import LargeBinary, func, or_, select
from sqlalchemy.orm import Session

from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Photo, TrainingData
from leafloop.vision import likeness

MOST = 6  # pictures that stand beside a case: two rows of three on a phone
# Bits of 256 that a photo may be off by to be shown as alike. Of 100,000 photos that have nothing to do with each other, in eight
# positions, the nearest is off by about 90 (the chance of so few heads of 256 fair coins): what is nearer is no accident.
ALIKE = 88
FRESH_S = 30.0  # a label that was just made shows beside the cases after the next few
TWIN = 15  # bits: copies that were encoded, halved or brightened again are off by 7 (9 in 10), no two other real photos by under 65
NEIGHBOURS = 3  # how far apart in a piece's order: equal pieces are rare unless the photos are copies
LATE = timedelta(minutes=2)  # a label's transaction may end so much after its moment (an import's is long)

_WORDS = likeness.BYTES // 8
_HEAD = 1 + likeness.BYTES  # the method's byte, and the hash of the whole


@dataclass(frozen=True, slots=True)
class Lookalike:
    """A label whose photo looks alike. `distance`: bits in which the hashes differ."""

    label_id: str
    image_hash: str
    class_name: str | None
    outcome: str | None
    distance: int

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass
class _Known:
    """The hashes of one database's labels: `ids[i]` has `hashes[i]`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    ids: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, _WORDS), np.uint64))
    until: datetime | None = None
    looked: float = float("-inf")


_known: weakref.WeakKeyDictionary[Ledger, _Known] = weakref.WeakKeyDictionary()


def look(ledger: Ledger) -> None:
    """Bring the hashes up to date if they are not fresh any more; of several who find them so, one looks."""
    with ledger.reading() as session:
        known = _known.setdefault(ledger, _Known())
        if time.monotonic() - known.looked < FRESH_S or not known.lock.acquire(blocking=False):
            return
        try:
            _read(session, known)
            known.looked = time.monotonic()
        finally:
            known.lock.release()


def nearest(session: Session, photo: bytes | None, *, but: str, most: int = MOST) -> list[Lookalike]:
    """The nearest confirmed labels, nearest first; `but` is the hash of the photo's own bytes, which do not count."""
    if not likeness.is_current(photo):
        return []
    assert photo is not None, "what is current is there"
    known = _known.get(session.info["ledger"])
    found = _search(known, photo, most + 1) if known is not None else {}
    wanted = select(TrainingData).where(TrainingData.id.in_(found), TrainingData.is_validated)
    rows = {row.id: row for row in session.scalars(wanted) if row.image_hash != but}
    return [
        Lookalike(row.id, row.image_hash, row.class_name, row.outcome, distance)
        for label_id, distance in found.items()
        if (row := rows.get(label_id)) is not None
    ][:most]


def twins(session: Session) -> list[tuple[str, str]]:
    """Pairs of labels whose photos differ in `TWIN` bits at most, the nearest first; turned copies are not looked for.

    Two such hashes have one of 16 pieces of 16 bits in common (there are more pieces than bits that differ), so only those are
    compared that come next to each other in the order of a piece (M. Norouzi et al., "Fast search in Hamming space", CVPR 2012).
    """
    known = _known.get(session.info["ledger"])
    if known is None or len(known.hashes) < 2:
        return []
    hashes = known.hashes
    found: dict[tuple[int, int], int] = {}
    for piece in np.ascontiguousarray(hashes).view(np.uint16).T:
        order = np.argsort(piece, kind="stable")
        for apart in range(1, NEIGHBOURS + 1):
            a, b = order[:-apart], order[apart:]
            same = piece[a] == piece[b]
            a, b = a[same], b[same]
            off = np.bitwise_count(hashes[a] ^ hashes[b]).sum(axis=1, dtype=np.int64)
            for i in np.flatnonzero(off <= TWIN):
                found[(min(int(a[i]), int(b[i])), max(int(a[i]), int(b[i])))] = int(off[i])
    return [(known.ids[a], known.ids[b]) for a, b in sorted(found, key=lambda pair: (found[pair], pair))]


def _search(known: _Known, photo: bytes, most: int) -> dict[str, int]:
    """Label -> distance of the nearest, nearest first, none farther than `ALIKE`."""
    hashes = known.hashes  # first: there are ids for all of them, and maybe more by now
    ids = known.ids
    if not len(hashes):
        return {}
    turned = np.ascontiguousarray(likeness.turned(likeness.hashes(photo)[:1])[0]).view(np.uint64)  # [8, words]
    distances = np.full(len(hashes), likeness.BITS, np.int64)
    for position in turned:
        off = np.bitwise_count(hashes ^ position).sum(axis=1, dtype=np.int64)
        np.minimum(distances, off, out=distances)
    few = min(most, len(distances))
    best = np.argpartition(distances, few - 1)[:few]
    ordered = best[np.argsort(distances[best], kind="stable")]
    return {ids[i]: int(distances[i]) for i in ordered if distances[i] <= ALIKE}


def _read(session: Session, known: _Known) -> None:
    """Labels that were made or changed since the last look. One that is gone is left out when it is found."""
    columns = (TrainingData.id, func.substr(Photo.likeness, 1, _HEAD, type_=LargeBinary), TrainingData.validated_at)
    chosen = (
        select(*columns)
        .join(Photo, Photo.id == TrainingData.photo_id)
        .where(TrainingData.is_validated, Photo.likeness.is_not(None))
    )
    if known.until is not None:
        since = known.until - LATE
        chosen = chosen.where(or_(TrainingData.validated_at >= since, TrainingData.added_date >= since))
    rows = [row for row in session.execute(chosen) if likeness.is_current(bytes(row[1]))]
    new = [row for row in rows if row[0] not in known.seen]
    if new:
        words = np.frombuffer(b"".join(bytes(row[1])[1:] for row in new), np.uint64).reshape(-1, _WORDS)
        known.ids.extend(row[0] for row in new)  # before their hashes: somebody may be searching
        known.hashes = np.concatenate([known.hashes, words])
        known.seen.update(row[0] for row in new)
    moments = [row[2] for row in rows if row[2] is not None]
    known.until = max([*moments, *([known.until] if known.until else [])], default=None)
