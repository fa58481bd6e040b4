"""The object store in a folder, as `ab/cd/<hash>`. Knows no table and no photo.

It is written by ourselves (`durable`), since an object is acknowledged only once it would survive a power cut, and obstore's local
store does not sync. What has rotten is set aside as `<hash>.rotten`: never served, and out of the way of the same bytes, sent again
or brought from a backup.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from leafloop import log, metrics
from leafloop.errors import BlobMissing, StorageFull
from leafloop.storage import durable
from leafloop.storage.objects import KEY, Stored, check, hash_of, path_of, verified

_log = log.get(__name__)

# A full disk stops photos, and not the database that shares it: room for some 10,000 small rows until an operator comes.
RESERVE_BYTES = 16 * 1024 * 1024


class LocalBlobs:
    """A folder, as `ab/cd/<hash>`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._synced: set[Path] = set()  # at most 65,793 of them

    def put(self, data: bytes) -> str:
        key = hash_of(data)
        target = self._root / path_of(key)
        with _translated():
            self._make_folder(target.parent)
            self._leave_room(len(data))
            # Before, not after: by then a reader may have moved the new one there.
            _aside(target).unlink(missing_ok=True)
            # Also when it is there: who wrote it may not have come to its sync, and a rotten copy is healed by the way.
            durable.write_file(target, data)
        return key

    def get(self, key: str) -> bytes:
        path = self._root / path_of(key)
        with _translated():
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return self._taken_back(key, path)
            return data if hash_of(data) == key else self._set_aside(key, path)

    def verify(self, key: str) -> None:
        path = self._root / path_of(key)
        with _translated():
            try:
                with path.open("rb") as file:
                    whole = hashlib.file_digest(file, "sha256").hexdigest() == key
            except FileNotFoundError:
                whole = False
        if not whole:
            self.get(key)

    def has(self, key: str) -> bool:
        return (self._root / path_of(key)).is_file()

    def delete(self, key: str) -> None:
        path = self._root / path_of(key)
        with _translated(), contextlib.suppress(FileNotFoundError):
            path.unlink(missing_ok=True)
            _aside(path).unlink(missing_ok=True)
            durable.sync_folder(path.parent)

    def keys(self) -> Iterator[str]:
        return (stored.name for stored in self.objects())

    def objects(self) -> Iterator[Stored]:
        for path in self._root.glob("??/??/*"):
            if KEY.fullmatch(path.name):
                yield from _stored(path, path.name)

    def drafts(self) -> Iterator[Stored]:
        for path in self._root.glob("??/??/.*.tmp"):
            yield from _stored(path, str(path.relative_to(self._root)))

    def discard(self, draft: Stored) -> None:
        with _translated():
            (self._root / draft.name).unlink(missing_ok=True)

    def check(self) -> None:
        check(self)

    def refuse_when_away(self) -> None:
        """A folder of this machine is there, or says at once that it is not."""

    def _make_folder(self, folder: Path) -> None:
        """A folder of the store, synced by ourselves once: whoever made it may have been cut off before its own sync."""
        if folder in self._synced and folder.is_dir():
            return
        if folder == self._root:
            durable.make_folder(folder)
        else:
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            durable.sync_folder(folder.parent)
        self._synced.add(folder)

    def _leave_room(self, size: int) -> None:
        """Raise `StorageFull` before the reserve is touched. A file system that does not count its blocks is taken at its word."""
        disk = os.statvfs(self._root)
        if disk.f_blocks and disk.f_bavail * disk.f_frsize < size + RESERVE_BYTES:
            raise StorageFull

    def _set_aside(self, key: str, path: Path) -> bytes:
        """Raise `BlobCorrupt`, once the rotten object is out of the way. Bytes that are right after all are given: it was healed
        between our look and our move, or it was the look that failed."""
        metrics.ROTTEN.inc()
        _log.error("object is rotten", key=key)
        with contextlib.suppress(OSError):  # on a disk that cannot be written it stays where it is: no less rotten
            path.replace(_aside(path))
            durable.sync_folder(path.parent)
        return self._taken_back(key, path)

    def _taken_back(self, key: str, path: Path) -> bytes:
        """The bytes of an object that is not in its place, if they were set aside and are whole."""
        try:
            data = _aside(path).read_bytes()
        except FileNotFoundError:
            if path.exists():  # it could not be set aside, or it came back meanwhile
                return verified(key, path.read_bytes())
            raise BlobMissing(key=key) from None
        verified(key, data)
        with contextlib.suppress(FileNotFoundError):  # another reader took it back
            _aside(path).replace(path)
        return data


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.rotten")


def _stored(path: Path, name: str) -> Iterator[Stored]:
    with contextlib.suppress(FileNotFoundError):  # gone since the folder was listed
        facts = path.stat()
        yield Stored(name, facts.st_size, facts.st_mtime)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise durable.meaning(error, "the objects", "LEAFLOOP_BLOBS_URL") from error
