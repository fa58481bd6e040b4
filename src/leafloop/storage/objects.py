"""What an object is to every store: its key, its list entry, and what may be asked of it. Knows no store, no table and no photo."""

from __future__ import annotations

import hashlib
import itertools
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from leafloop.errors import BlobCorrupt, NotFound

KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)
# Each process checks with objects of its own, so that two checks do not take away each other's; and with few, since a check
# every few seconds that made new folders each time would fill the store with empty ones. No 64 run at once (there are 40 threads).
_CHECKED = itertools.cycle([b"leafloop check " + secrets.token_bytes(16) for _ in range(64)])


@dataclass(frozen=True, slots=True)
class Stored:
    """An object, or the draft of one, as a list shows it. `modified`: Unix time of its last `put`."""

    name: str
    bytes: int
    modified: float


class BlobStore(Protocol):
    """What every store does. All may raise `StorageError`; `put` also `StorageFull` and `ReadOnly`."""

    def put(self, data: bytes) -> str:
        """Keep bytes; their key. When it returns they survive a power cut."""

    def get(self, key: str) -> bytes:
        """The bytes of a key, verified. Raises `BlobMissing`, `BlobCorrupt`, and `NotFound` for what is no key."""

    def verify(self, key: str) -> None:
        """As `get`, and raising the same, but large objects are not held in memory."""

    def has(self, key: str) -> bool:
        """Whether a key is there; its bytes are not read."""

    def delete(self, key: str) -> None:
        """Remove a key; one that is not there is no error."""

    def keys(self) -> Iterator[str]:
        """Every key, in no order. What an interrupted write left behind is not one."""

    def objects(self) -> Iterator[Stored]:
        """Every object, in no order; its name is its key."""

    def drafts(self) -> Iterator[Stored]:
        """What interrupted writes left behind, and what is being written just now."""

    def discard(self, draft: Stored) -> None:
        """Remove a draft that is too old to be written still."""

    def check(self) -> None:
        """Write, read back and remove a small object."""

    def refuse_when_away(self) -> None:
        """Raise `StorageError` if whatever needs the store would fail now: before work is put into it."""


def hash_of(data: bytes) -> str:
    """The key of bytes."""
    return hashlib.sha256(data).hexdigest()


def path_of(key: str) -> str:
    """Where every store keeps an object, under its root. Raises `NotFound` for what is no key."""
    if not KEY.fullmatch(key):  # a key is never a path
        raise NotFound("That is not the key of an object.")
    return f"{key[:2]}/{key[2:4]}/{key}"


def verified(key: str, data: bytes) -> bytes:
    """The bytes of a key. Raises `BlobCorrupt` when they are others."""
    if hash_of(data) != key:
        raise rotten(key)
    return data


def rotten(key: str) -> BlobCorrupt:
    """The error of an object that is not what its key says."""
    return BlobCorrupt(
        f"Object {key[:12]} no longer matches its hash. Restore it from a backup, or send the same file again.", key=key
    )


def check(store: BlobStore) -> None:
    """Write what nobody else writes, read it back, and take it away."""
    key = store.put(next(_CHECKED))
    try:
        store.get(key)
    finally:
        store.delete(key)
