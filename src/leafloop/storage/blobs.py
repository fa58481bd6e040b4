"""The object store: bytes under the hash of the bytes, in a folder or in S3. Knows no table and no photo.

A key is the SHA-256 of what it names, so writing twice is harmless, nothing depends on a conditional write, and every read is
verified. The folder is written by ourselves (`durable`), since an object is acknowledged only once it would survive a power cut,
and obstore's local store does not sync.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import re
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from leafloop.errors import (
    BlobCorrupt,
    BlobMissing,
    ConfigurationInvalid,
    NotFound,
    ReadOnly,
    StorageError,
    StorageFull,
)
from leafloop.storage import durable

_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)
# One call: a slow net moves a 30 MB photo in it; three tries stay within the 10 s in which most photos are answered.
S3_TIMEOUT, S3_RETRIES, S3_RETRY_FOR = timedelta(seconds=5), 2, timedelta(seconds=10)
# Each process checks with objects of its own, so that two checks do not take away each other's; and with few, since a check
# every few seconds that made new folders each time would fill the store with empty ones. No 64 run at once (there are 40 threads).
_CHECKED = itertools.cycle([b"leafloop check " + secrets.token_bytes(16) for _ in range(64)])


class BlobStore(Protocol):
    """What every store does. All may raise `StorageError`; `put` also `StorageFull` and `ReadOnly`."""

    def put(self, data: bytes) -> str:
        """Keep bytes; their key. When it returns they survive a power cut."""

    def get(self, key: str) -> bytes:
        """The bytes of a key, verified. Raises `BlobMissing`, `BlobCorrupt`, and `NotFound` for what is no key."""

    def has(self, key: str) -> bool:
        """Whether a key is there; its bytes are not read."""

    def delete(self, key: str) -> None:
        """Remove a key; one that is not there is no error."""

    def keys(self) -> Iterator[str]:
        """Every key, in no order. What an interrupted write left behind is not one."""

    def check(self) -> None:
        """Write, read back and remove a small object."""


def open_blobs(url: str) -> BlobStore:
    """A store by its URL: `file:///folder`, or `s3://bucket/prefix` with the standard AWS_* variables."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return LocalBlobs(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        with contextlib.suppress(ValueError):  # a prefix that no object can have, such as one with ".."
            return S3Blobs(parts.netloc, parts.path.strip("/"))
    raise ConfigurationInvalid(
        "LEAFLOOP_BLOBS_URL is not a store that Leafloop knows. Write file:///folder or s3://bucket/prefix.",
        variable="LEAFLOOP_BLOBS_URL",
    )


def hash_of(data: bytes) -> str:
    """The key of bytes."""
    return hashlib.sha256(data).hexdigest()


def _path_of(key: str) -> str:
    if not _KEY.fullmatch(key):  # a key is never a path
        raise NotFound("That is not the key of an object.")
    return f"{key[:2]}/{key[2:4]}/{key}"


def _verified(key: str, data: bytes) -> bytes:
    if hash_of(data) != key:
        raise BlobCorrupt(f"Object {key[:12]} no longer matches its hash. Restore it from a backup.", key=key)
    return data


def _check(store: BlobStore) -> None:
    """Write what nobody else writes, read it back, and take it away."""
    key = store.put(next(_CHECKED))
    try:
        store.get(key)
    finally:
        store.delete(key)


class LocalBlobs:
    """A folder, as `ab/cd/<hash>`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._synced: set[Path] = set()  # at most 65,793 of them

    def put(self, data: bytes) -> str:
        key = hash_of(data)
        target = self._root / _path_of(key)
        with _translated():
            self._make_folder(target.parent)
            # Also when it is there: who wrote it may not have come to its sync, and a rotten copy is healed by the way.
            durable.write_file(target, data)
        return key

    def get(self, key: str) -> bytes:
        path = self._root / _path_of(key)
        with _translated():
            try:
                return _verified(key, path.read_bytes())
            except FileNotFoundError:
                raise BlobMissing(key=key) from None

    def has(self, key: str) -> bool:
        return (self._root / _path_of(key)).is_file()

    def delete(self, key: str) -> None:
        path = self._root / _path_of(key)
        with _translated(), contextlib.suppress(FileNotFoundError):
            path.unlink()
            durable.sync_folder(path.parent)

    def keys(self) -> Iterator[str]:
        for path in self._root.glob("??/??/*"):
            if _KEY.fullmatch(path.name):
                yield path.name

    def check(self) -> None:
        _check(self)

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


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _from_os(error) from error


def _from_os(error: OSError) -> StorageError | StorageFull | ReadOnly:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull()
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR):
        return ReadOnly(
            f"The folder of the objects cannot be used ({error.strerror}). Check LEAFLOOP_BLOBS_URL and its permissions."
        )
    return StorageError(
        f"The folder of the objects failed ({error.strerror}). Nothing was acknowledged: send it again in a moment."
    )


class S3Blobs:
    """A bucket, under a prefix. Endpoint, region and credentials come from the standard AWS_* variables."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            client_options={"timeout": S3_TIMEOUT, "connect_timeout": S3_TIMEOUT, "allow_http": True},
            retry_config={"max_retries": S3_RETRIES, "retry_timeout": S3_RETRY_FOR},
        )

    def put(self, data: bytes) -> str:
        key = hash_of(data)
        with _translated_s3():
            self._store.put(_path_of(key), data)
            # A store that says yes and keeps nothing is found out before the row is written, not when the photo is asked for.
            if self._store.head(_path_of(key))["size"] != len(data):
                raise StorageError(
                    "The object store kept another size than was sent. Nothing was acknowledged: send it again."
                )
        return key

    def get(self, key: str) -> bytes:
        path = _path_of(key)
        with _translated_s3():
            try:
                return _verified(key, bytes(self._store.get(path).bytes()))
            except (NotFoundError, FileNotFoundError):
                raise BlobMissing(key=key) from None

    def has(self, key: str) -> bool:
        path = _path_of(key)
        with _translated_s3():
            try:
                self._store.head(path)
            except (NotFoundError, FileNotFoundError):
                return False
        return True

    def delete(self, key: str) -> None:
        path = _path_of(key)
        with _translated_s3(), contextlib.suppress(NotFoundError, FileNotFoundError):
            self._store.delete(path)

    def keys(self) -> Iterator[str]:
        with _translated_s3():
            for page in self._store.list():
                for found in page:
                    name = found["path"].rsplit("/", 1)[-1]
                    if _KEY.fullmatch(name):
                        yield name

    def check(self) -> None:
        _check(self)


@contextlib.contextmanager
def _translated_s3() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        # The library's text names endpoint and bucket, which is what an operator needs; it holds no credential.
        reason = " ".join(str(error).split())[:200]
        raise StorageError(
            f"The object store does not answer ({reason}). Nothing was acknowledged: send it again."
        ) from error
