"""Perceptual hashes: which photos are copies of one another, also turned, mirrored, cropped, re-encoded, resized. Knows no storage.

A hash is the signs of the lowest 16 x 16 coefficients of a picture's cosine transform: pHash (C. Zauner, "Implementation and
benchmarking of perceptual image hash functions", 2010) with 256 bits in the place of 64, and zero in the place of the median. Signs
do not change with brightness and contrast; a mirrored picture has every second sign the other way round, and a turned one has rows
for columns, so one hash stands for all eight positions. A crop is found by hashes of 167 windows, as wide as 100 to 75 % of a side:
the whole of the crop is like one of them.

64 bits cannot tell leaves apart: of 520 real photos, pairs that only look alike came as near (7 to 9 bits) as crops do. With 256,
measured by benchmarks/likeness.py: turned, mirrored, re-encoded, halved or brighter copies differ in up to 7 bits (9 in 10), crops
of 90 and 80 % in 18 to 41, crops at random in 45. Of 134,940 pairs of different real photos the nearest differ in 51; the six
nearest that were looked at, up to 67, show one leaf photographed twice. Plain rendered leaves, which are alike indeed, come as near
as 53. Hence `NEAR`. docs/SNAPSHOTS.md has the table.
"""

from __future__ import annotations

from functools import cache
from itertools import chain

import cv2
import numpy as np
import numpy.typing as npt

VERSION = 1  # goes in front of every likeness: those of two methods cannot be compared
NEAR = 46  # bits of 256 that copies may differ by: see above
BITS = 256
BYTES = BITS // 8

SIDE = 64  # pixels to which a picture is shrunk: three for the shortest half wave, so that the shrinking hardly shows
WAVES = 16  # half waves across a window, each way
STEP, STEPS = 1 / 24, 6  # a window is so much smaller than the one before; and so far from its neighbour

Words = npt.NDArray[np.uint8]  # [..., BYTES]: the bits of a hash, those of long waves first
Grey = npt.NDArray[np.uint8]  # [height, width], or RGB [height, width, 3]


def of(pixels: Grey) -> bytes:
    """The likeness of a photo of any size, upright: a byte for the method, then the hash of the whole and of each window."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    waves, order = _waves(), _order()
    count = len(waves) // WAVES
    both_ways = (waves @ small @ waves.T).reshape(count, WAVES, count, WAVES).transpose(0, 2, 1, 3)
    across, down = _windows()
    coefficients = both_ways[down, across].reshape(-1, BITS)[:, order]
    # A picture of one grey has no waves: it is all zeros, not the noise of rounding.
    return bytes([VERSION]) + np.packbits(coefficients > _NOISE, axis=1).tobytes()


_NOISE = 1e-3  # grey levels


def is_current(likeness: bytes | None) -> bool:
    """Whether it is there, and by the method that is in use."""
    return likeness is not None and likeness[:1] == bytes([VERSION])


def distance(a: bytes, b: bytes) -> int:
    """In how many of 256 bits two photos differ at least, over all turns, mirrorings and crops; two methods: in all."""
    if a[0] != b[0]:
        return BITS
    ours, theirs = hashes(a), hashes(b)
    return min(_nearest(turned(ours[:1])[0], theirs), _nearest(turned(theirs[:1])[0], ours))


def hashes(likeness: bytes) -> Words:
    """[windows, BYTES]; the first is of the whole."""
    return np.frombuffer(likeness, np.uint8, offset=1).reshape(-1, BYTES)


def turned(words: Words) -> Words:
    """[n, BYTES] -> [n, 8, BYTES]: the hashes that the same pictures have in all eight positions, as they are first."""
    bits = np.unpackbits(words, axis=1)
    down, across = np.divmod(_order(), WAVES)
    place = np.argsort(_order())  # of coefficient -> its bit
    turns = []
    for rows_for_columns in (False, True):
        laid = bits[:, place[across * WAVES + down]] if rows_for_columns else bits
        for odd in (np.zeros(BITS, np.int64), across, down, across + down):
            turns.append(np.packbits(laid ^ (odd % 2).astype(np.uint8), axis=1))
    return np.stack(turns, axis=1)


def _nearest(positions: Words, windows: Words) -> int:
    return int(apart(positions[:, None], windows[None]).min())


def apart(a: Words, b: Words) -> npt.NDArray[np.int64]:
    """In how many bits hashes differ; shapes are matched as numpy does."""
    long_a, long_b = (np.ascontiguousarray(words).view(np.uint64) for words in (a, b))
    return np.asarray(np.bitwise_count(long_a ^ long_b).sum(axis=-1, dtype=np.int64))


def _spans() -> list[list[tuple[float, float]]]:
    """Where windows begin and end along a side, by size: the whole, those of 96 %, ..., of 75 %. People cut about the middle,
    so each size has one there."""
    shifts = [sorted({*range(size + 1), size / 2}) for size in range(STEPS + 1)]
    return [[(i * STEP, 1 - (size - i) * STEP) for i in sizes] for size, sizes in enumerate(shifts)]


@cache
def _windows() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each window its span across and its span down; both have one size."""
    pairs, first = [], 0
    for spans in _spans():
        numbers = range(first, first + len(spans))
        pairs += [(across, down) for down in numbers for across in numbers]
        first += len(spans)
    across, down = np.array(pairs, np.int64).T
    return across, down


@cache
def _waves() -> npt.NDArray[np.float32]:
    """[spans * WAVES, SIDE]: the cosines of each span, integrated over each pixel, so that a window may end within one."""
    return np.concatenate([_cosines(*span) for span in chain.from_iterable(_spans())]).astype(np.float32)


def _cosines(begin: float, end: float) -> npt.NDArray[np.float64]:
    edges = (np.clip(np.arange(SIDE + 1) / SIDE, begin, end) - begin) / (end - begin)
    wave = np.pi * np.arange(1, WAVES)[:, None]
    return np.diff(np.concatenate([edges[None], np.sin(wave * edges) / wave]), axis=1)


@cache
def _order() -> npt.NDArray[np.int64]:
    """The coefficients, long waves first: their signs are the surest, and a search begins with them."""
    down, across = np.divmod(np.arange(BITS), WAVES)
    return np.lexsort((across, down + across))
