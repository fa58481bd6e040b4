"""Which of many photos are copies of one another, by their likenesses. Knows no storage, no label and no side.

All pairs of 100,000 photos with 167 windows each are far too many to compare. So the hashes of the wholes, in all eight positions,
are put in order by parts of their bits (multi-index hashing: Norouzi, Punjani, Fleet, CVPR 2012), and a window is compared in full
only with those that share a part. A part is three of the nine bytes of the longest waves, whose signs are the surest. What sixteen
parts find of what a comparison of all pairs finds: docs/SNAPSHOTS.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leafloop.vision import likeness
from leafloop.vision.likeness import Words

# Three bytes a part, so that of a million hashes few share one by chance; no two parts have more than two bytes in common.
PARTS = (
    (0, 1, 2), (0, 3, 4), (0, 5, 6), (0, 7, 8), (1, 3, 5), (1, 4, 6), (2, 3, 6), (2, 4, 5),
    (1, 2, 7), (3, 4, 8), (0, 2, 3), (0, 1, 4), (1, 2, 3), (2, 7, 8), (0, 1, 5), (0, 2, 6),
)  # fmt: skip
KEYS = 1 << 24
AT_ONCE = 500_000  # hashes compared in one go: 32 MB
POSITIONS = 8

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Part:
    """The wholes in order of one part of their bits. `seen`: a bit for each key that there is."""

    keys: npt.NDArray[np.uint32]
    order: npt.NDArray[np.uint32]
    seen: npt.NDArray[np.uint8]


class Index:
    """The wholes of many photos, to be searched by windows. About 160 bytes for each photo and part."""

    def __init__(self, wholes: Words) -> None:
        """`wholes`: [photos, BYTES], by number; photos of the very same hash are found once and told by `twins`."""
        self._firsts, self._same = np.unique(wholes, axis=0, return_index=True, return_inverse=True)[1:]
        self._turned = likeness.turned(wholes[self._firsts]).reshape(-1, likeness.BYTES)
        self._parts = [_part(_keys(self._turned, part)) for part in PARTS]

    def twins(self) -> Iterator[tuple[int, int]]:
        """Pairs of photos with the very same hash: each with the first of them."""
        for number, same in enumerate(self._same.reshape(-1).tolist()):
            first = int(self._firsts[same])
            if first != number:
                yield number, first

    def near(self, windows: Words, photos: Numbers) -> Iterator[tuple[int, int]]:
        """Pairs (photo of a window, photo whose whole is like it). `photos`: the number of each window's photo."""
        found: set[tuple[int, int]] = set()
        own = self._same.reshape(-1)[photos]
        for part, which in zip(self._parts, PARTS, strict=True):
            for window, turned in _candidates(part, _keys(windows, which)):
                other = turned // POSITIONS
                strangers = other != own[window]
                window, turned, other = window[strangers], turned[strangers], other[strangers]
                close = likeness.apart(windows[window], self._turned[turned]) <= likeness.NEAR
                pairs = np.stack([photos[window[close]], self._firsts[other[close]]], axis=1)
                found.update(map(tuple, np.unique(pairs, axis=0).tolist()))
        yield from sorted(found)


def pairs(likenesses: Iterable[tuple[Numbers, Words]], wholes: Words) -> Iterator[tuple[int, int]]:
    """All pairs of near-duplicates. `likenesses`: batches of (photo numbers [n], hashes [n, windows, BYTES])."""
    index = Index(wholes)
    yield from index.twins()
    for numbers, words in likenesses:
        yield from index.near(words.reshape(-1, likeness.BYTES), np.repeat(numbers, words.shape[1]))


def _keys(words: Words, part: tuple[int, int, int]) -> npt.NDArray[np.uint32]:
    first, second, third = (words[:, byte].astype(np.uint32) for byte in part)
    return (first << np.uint32(16)) | (second << np.uint32(8)) | third


def _part(keys: npt.NDArray[np.uint32]) -> _Part:
    order = np.argsort(keys, kind="stable").astype(np.uint32)
    seen = np.zeros(KEYS // 8, np.uint8)
    np.bitwise_or.at(seen, keys >> np.uint32(3), _bit(keys))
    return _Part(keys[order], order, seen)


def _bit(keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    return np.uint8(1) << (keys & np.uint32(7)).astype(np.uint8)


def _candidates(part: _Part, keys: npt.NDArray[np.uint32]) -> Iterator[tuple[Numbers, Numbers]]:
    """(number of the window, number of the turned whole) wherever the part is the same, some at a time."""
    windows = np.flatnonzero(part.seen[keys >> np.uint32(3)] & _bit(keys))
    begin, end = (np.searchsorted(part.keys, keys[windows], side) for side in ("left", "right"))
    counts = end - begin
    upto = np.cumsum(counts)
    done = 0
    while done < len(windows):
        before = upto[done - 1] if done else 0
        stop = max(done + 1, int(np.searchsorted(upto, before + AT_ONCE, "right")))
        some = slice(done, stop)
        within = np.arange(int(counts[some].sum())) - np.repeat(upto[some] - counts[some] - before, counts[some])
        places = np.repeat(begin[some], counts[some]) + within
        yield np.repeat(windows[some], counts[some]), part.order[places].astype(np.int64)
        done = stop


class Groups:
    """Numbers that are joined, one pair after the other (union by the smallest, with path halving)."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def of(self, number: int) -> int:
        """The smallest number of its group."""
        above = self._above
        while above[number] != number:
            above[number] = above[above[number]]
            number = above[number]
        return number

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.of(one), self.of(other)))
        self._above[second] = first
