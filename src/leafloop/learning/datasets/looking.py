"""A dataset's photos, each through the door that uploads pass. Knows no label and no table.

The header's limits are checked here, and its codec runs in a process apart. What is kept of a photo is what was measured of it, not
its pixels: a dataset may have a hundred thousand.
"""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from leafloop.errors import PhotoError, TooManyBytes
from leafloop.learning.datasets.formats.dataset import ReadPhoto
from leafloop.learning.datasets.formats.notes import Notes
from leafloop.vision import leaf, likeness, quality
from leafloop.vision.decoders import CHILDREN, Decoders
from leafloop.vision.photo import PhotoLimits

Say = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Picture:
    """What was seen of a photo, without its pixels. `sha256`: of the dataset's bytes; `stored_sha256`: of the kept copy."""

    sha256: str
    stored_sha256: str
    media_type: str
    format: str
    bytes: int
    width: int
    height: int
    sharpness: float
    brightness: float
    quality_score: float
    likeness: int  # its number in `Likenesses`


class Likenesses:
    """Likenesses by number, in a file without a name: of a hundred thousand photos they are half a gigabyte."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `__exit__`)
        self._lock = threading.Lock()
        self._bytes, self._count = 0, 0

    def add(self, found: bytes) -> int:
        """Keep one; its number. All have one length."""
        with self._lock:
            self._file.seek(0, 2)
            self._file.write(found)
            self._bytes, self._count = len(found), self._count + 1
            return self._count - 1

    def __getitem__(self, number: int) -> bytes:
        with self._lock:
            self._file.seek(number * self._bytes)
            return self._file.read(self._bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()


def pictures(
    photos: Iterable[ReadPhoto],
    decoders: Decoders,
    limits: PhotoLimits,
    notes: Notes,
    likenesses: Likenesses,
    say: Say,
    total: int,
) -> Iterator[tuple[ReadPhoto, Picture]]:
    """Each photo that can be read, in order, with what was seen of it; a few are under way at once."""

    def look(photo: ReadPhoto) -> Picture | None:
        try:
            return _look(photo, decoders, limits, likenesses)
        except PhotoError as error:
            notes.note("photo_unreadable", photo.name, f"{error.code}: {error.detail}")
        except OSError as error:
            notes.note("photo_unreadable", photo.name, f"it cannot be read ({error.strerror})")
        return None

    for done, (photo, picture) in enumerate(_in_order(photos, look), start=1):
        say("look at photos", done, total)
        if picture is not None:
            yield photo, picture


def _in_order(
    photos: Iterable[ReadPhoto], look: Callable[[ReadPhoto], Picture | None]
) -> Iterator[tuple[ReadPhoto, Picture | None]]:
    with ThreadPoolExecutor(CHILDREN) as pool:
        under_way: deque[tuple[ReadPhoto, Future[Picture | None]]] = deque()
        for photo in photos:
            under_way.append((photo, pool.submit(look, photo)))
            if len(under_way) > 2 * CHILDREN:
                first, future = under_way.popleft()
                yield first, future.result()
        for first, future in under_way:
            yield first, future.result()


def _look(photo: ReadPhoto, decoders: Decoders, limits: PhotoLimits, likenesses: Likenesses) -> Picture:
    size = photo.path.stat().st_size
    if size > limits.max_bytes:  # before it is read: it may be as large as the disk
        raise TooManyBytes(limit=limits.max_bytes, got=size)
    data = photo.path.read_bytes()
    seen = decoders.read(data, decoders.check(data))
    measured = quality.measure(leaf.overview(seen.pixels))
    return Picture(
        seen.sha256,
        seen.kept.sha256,
        seen.kept.media_type,
        seen.format,
        len(seen.kept.data),
        seen.width,
        seen.height,
        measured.sharpness,
        measured.brightness,
        quality.score_of({warning.code for warning in measured.warnings}),
        likenesses.add(likeness.of(seen.pixels)),
    )
