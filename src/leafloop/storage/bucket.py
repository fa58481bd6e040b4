"""The object store in S3, or in what speaks as S3 does. Knows no table and no photo.

While the store is away, calls are refused at once (`breaker`): each would hold one of the places for photos for seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Iterator
from datetime import timedelta

from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError
from obstore.store import S3Store

from leafloop.errors import BlobMissing, NotFound, StorageError
from leafloop.storage.breaker import Breaker
from leafloop.storage.objects import KEY, Stored, check, hash_of, path_of, rotten, verified

# One try of a call: 16 Mbit/s move a large photo of 8 MB in it. At most three tries, with a little chance in the pauses between
# them; a try that ran out of time is repeated once, since the connection may have died and not the store. It ends within 9 s.
S3_TRY, S3_RETRIES, S3_RETRY_FOR = timedelta(seconds=4), 2, timedelta(seconds=4.5)
S3_CONNECT = timedelta(seconds=2)
S3_PROBE = timedelta(seconds=3)  # one try without repetition, of a call without a body
LOOKS_AFTER_S = (0, 0.1, 0.3)  # some stores show what was written, or written over by a twin just now, a moment later
_CAUSE = re.compile(r'(?:message|error): "([^"]+)"|source: (TimedOut)')
_NOBODYS = "0" * 64  # no object has this key: asking for it is the cheapest question


class S3Blobs:
    """A bucket, under a prefix. Endpoint, region and credentials come from the standard AWS_* variables."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._store = _s3(bucket, prefix, S3_TRY, S3_RETRIES)
        self._probe = _s3(bucket, prefix, S3_PROBE, 0)
        self._breaker = Breaker("objects", StorageError)

    def put(self, data: bytes) -> str:
        key = hash_of(data)
        with self._call():
            self._store.put(path_of(key), data)
            self._refuse_unkept(key, len(data))
        return key

    def get(self, key: str) -> bytes:
        path = path_of(key)
        with self._call():
            try:
                return verified(key, bytes(self._store.get(path).bytes()))
            except (NotFoundError, FileNotFoundError):
                raise BlobMissing(key=key) from None

    def has(self, key: str) -> bool:
        path = path_of(key)
        with self._call():
            return _size(self._store, path) is not None

    def delete(self, key: str) -> None:
        path = path_of(key)
        with self._call(), contextlib.suppress(NotFoundError, FileNotFoundError):
            self._store.delete(path)

    def verify(self, key: str) -> None:
        path, digest = path_of(key), hashlib.sha256()
        with self._call():
            try:
                for piece in self._store.get(path).stream():
                    digest.update(piece)
            except (NotFoundError, FileNotFoundError):
                raise BlobMissing(key=key) from None
        if digest.hexdigest() != key:
            raise rotten(key)

    def keys(self) -> Iterator[str]:
        return (stored.name for stored in self.objects())

    def objects(self) -> Iterator[Stored]:
        with self._call():
            for page in self._store.list():
                for found in page:
                    name = found["path"].rsplit("/", 1)[-1]
                    if KEY.fullmatch(name):
                        yield Stored(name, found["size"], found["last_modified"].timestamp())

    def drafts(self) -> Iterator[Stored]:
        return iter(())  # an object is there whole or not at all

    def discard(self, draft: Stored) -> None:
        raise NotFound(f"This store has no draft {draft.name}.")

    def check(self) -> None:
        self._ask()
        check(self)

    def refuse_when_away(self) -> None:
        if self._breaker.shut:
            self._ask()

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        self.refuse_when_away()
        with self._breaker.attempt(), _translated():
            yield

    def _ask(self) -> None:
        """Whether the store answers, in a moment: nobody's photo is the trial. A no will do, AWS says it where one may not list."""
        with self._breaker.attempt(), _translated(), contextlib.suppress(PermissionDeniedError):
            _size(self._probe, path_of(_NOBODYS))

    def _refuse_unkept(self, key: str, size: int) -> None:
        """A store that says yes and keeps nothing is found out before the row is written, not when the photo is asked for."""
        for pause_s in LOOKS_AFTER_S:
            time.sleep(pause_s)
            if _size(self._store, path_of(key)) == size:
                return
        raise StorageError(
            f"The object store said that it kept object {key[:12]}, and has not kept it whole. Nothing was acknowledged. "
            "Check the store before anything else is trusted to it."
        )


def _s3(bucket: str, prefix: str, one_try: timedelta, retries: int) -> S3Store:
    return S3Store(
        bucket,
        prefix=prefix or None,
        client_options={"timeout": one_try, "connect_timeout": S3_CONNECT, "allow_http": True},
        retry_config={"max_retries": retries, "retry_timeout": S3_RETRY_FOR},
    )


def _size(store: S3Store, path: str) -> int | None:
    """The bytes of an object; None: it is not there."""
    try:
        return int(store.head(path)["size"])
    except (NotFoundError, FileNotFoundError):
        return None


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        raise StorageError(
            f"The object store does not answer ({_reason(str(error))}). Nothing was acknowledged. "
            "Check that it runs, that the net leads to it, LEAFLOOP_BLOBS_URL and the AWS_* variables."
        ) from error


def _reason(text: str) -> str:
    """The library's first line, which names endpoint and bucket and no credential, and the cause, which stands below."""
    cause = _CAUSE.search(text)
    return text.partition("\n")[0][:300] + (f": {cause[1] or cause[2]}" if cause else "")
