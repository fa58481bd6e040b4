"""Files that are almost pictures: the hostile cases taken apart at their own seams, changed, and put together again.

A change can be right in the parts that a decoder proves first (a PNG's checksums, a WebP's length), so that it reaches the code
behind them. Draws from hypothesis alone: the same draw is the same file.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Callable

from hypothesis import strategies as st
from tests import hostile

LARGEST = 200_000  # bytes: a larger seed costs time and shows nothing that a smaller one does not
EVIL = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
PNG, RIFF = b"\x89PNG\r\n\x1a\n", b"RIFF"


@functools.cache
def seeds() -> tuple[bytes, ...]:
    """What is read, undamaged: damage is made here, and what is no picture shows nothing."""
    return tuple(data for case in hostile.READ if len(data := case.make()) <= LARGEST)


def pieces(data: bytes) -> list[bytes]:
    """The file cut at its seams; joined, they are the file. What has no seams that we know is one piece."""
    if data.startswith(b"\xff\xd8"):
        return _cut(data, 2, lambda at: 2 + int.from_bytes(data[at + 2 : at + 4], "big"))
    if data.startswith(PNG):
        return _cut(data, 8, lambda at: 12 + int.from_bytes(data[at : at + 4], "big"))
    if data.startswith(RIFF):
        return _cut(data, 12, lambda at: 8 + (size := int.from_bytes(data[at + 4 : at + 8], "little")) + size % 2)
    if data[4:8] == b"ftyp":
        return _cut(data, 0, lambda at: max(8, int.from_bytes(data[at : at + 4], "big")))
    return [data]


def mended(data: bytes) -> bytes:
    """The same with true checksums (PNG) and a true length (WebP): a decoder reads on, to what was changed."""
    if data.startswith(PNG):
        head, *chunks = pieces(data)
        return head + b"".join(c[:-4] + struct.pack(">I", zlib.crc32(c[4:-4])) if len(c) >= 12 else c for c in chunks)
    if data.startswith(RIFF):
        return RIFF + struct.pack("<I", len(data) - 8) + data[8:]
    return data


def _cut(data: bytes, at: int, length_at: Callable[[int], int]) -> list[bytes]:
    found = [data[:at]]
    while at < len(data) and len(found) < 40:
        found.append(data[at : at + length_at(at)])
        at += len(found[-1])
    return [*found, data[at:]]


@st.composite
def rearranged(draw: st.DrawFn) -> bytes:
    """Whole pieces twice, left out, or elsewhere: each says what it said."""
    found = pieces(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(1, 3))):
        place, other = (draw(st.integers(1, len(found) - 1)) for _ in range(2))
        taken = draw(st.sampled_from(["double", "leave out", "move"]))
        if taken == "double":
            found.insert(other, found[place])
        elif len(found) > 2:
            piece = found.pop(place)
            found[other:other] = [piece] if taken == "move" else []
    return mended(b"".join(found))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Flipped bits, lengths that lie, something put in or cut off, half of them near the seams of a piece."""
    data = bytearray(draw(st.one_of(st.sampled_from(seeds()), rearranged())))
    for _ in range(draw(st.integers(1, 4))):
        if data:
            draw(st.sampled_from([_flip, _lie, _put, _cut_off]))(draw, data, _place(draw, data))
    return mended(bytes(data)) if draw(st.booleans()) else bytes(data)


def _place(draw: st.DrawFn, data: bytearray) -> int:
    """Behind the signature: without that nobody looks at the rest."""
    found = pieces(bytes(data))
    first = min(len(data) - 1, len(found[0]) or 12)
    if draw(st.booleans()):
        return draw(st.integers(first, len(data) - 1))
    seam = sum(map(len, found[: draw(st.integers(0, len(found) - 1))]))
    return max(first, min(len(data) - 1, seam + draw(st.integers(0, 24))))


def _flip(draw: st.DrawFn, data: bytearray, at: int) -> None:
    data[at] ^= 1 << draw(st.integers(0, 7))


def _lie(draw: st.DrawFn, data: bytearray, at: int) -> None:
    form = draw(st.sampled_from([">B", ">H", ">I", "<H", "<I"]))
    value = draw(st.sampled_from(EVIL)) & (256 ** struct.calcsize(form) - 1)
    data[at : at + struct.calcsize(form)] = struct.pack(form, value)


def _put(draw: st.DrawFn, data: bytearray, at: int) -> None:
    data[at:at] = draw(st.binary(min_size=1, max_size=32))


def _cut_off(draw: st.DrawFn, data: bytearray, at: int) -> None:
    del data[at : at + draw(st.sampled_from([1, 2, 4, 16, 256, len(data)]))]
