"""Near-duplicates among many photos are found as a comparison of all pairs finds them, and groups join what they join."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.learning.labelled import looks_like, picture

from leafloop.learning.snapshots import duplicates
from leafloop.learning.snapshots.duplicates import Groups
from leafloop.vision import likeness


def _found(likenesses: list[bytes], batch: int = 7) -> set[frozenset[int]]:
    words = np.stack([likeness.hashes(each) for each in likenesses])
    batches = ((np.arange(n, min(n + batch, len(words))), words[n : n + batch]) for n in range(0, len(words), batch))
    return {frozenset(pair) for pair in duplicates.pairs(batches, words[:, 0])}


def test_copies_are_found_turned_mirrored_and_cropped_and_nothing_else() -> None:
    likenesses, wanted = [], set()
    for seed in range(40):
        shown = picture(seed)
        copies = [shown, np.rot90(shown), shown[::-1], shown[9:, :87], np.rot90(shown[6:90, 4:88], 3)[:, ::-1]]
        first = len(likenesses)
        likenesses += [likeness.of(np.ascontiguousarray(each)) for each in copies]
        wanted |= {frozenset((first, first + n)) for n in range(1, len(copies))}
    found = _found(likenesses)
    assert len(wanted - found) <= 0.03 * len(wanted)
    assert all(min(pair) // 5 == max(pair) // 5 for pair in found)


def test_every_pair_that_is_found_is_near_by_the_distance_too() -> None:
    likenesses = [looks_like(seed, copy=copy) for seed in range(20) for copy in (False, True)]
    found = _found(likenesses)
    assert found
    for one, other in map(tuple, found):
        assert likeness.distance(likenesses[one], likenesses[other]) <= likeness.NEAR


def test_the_very_same_photo_a_thousand_times_is_no_million_of_pairs() -> None:
    likenesses = [looks_like(1)] * 300 + [looks_like(1, copy=True)] * 300 + [looks_like(2)]
    words = np.stack([likeness.hashes(each) for each in likenesses])
    pairs = list(duplicates.pairs([(np.arange(len(words)), words)], words[:, 0]))
    groups = Groups(len(words))
    for pair in pairs:
        groups.join(*pair)
    assert len({groups.of(n) for n in range(600)}) == 1
    assert groups.of(600) == 600
    assert len(pairs) < 3_000


@pytest.mark.parametrize("count", [0, 1])
def test_one_photo_or_none_has_no_copies(count: int) -> None:
    assert _found([looks_like(n) for n in range(count)]) == set() if count else True


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60))
def test_groups_are_what_pairs_join_and_are_named_by_their_smallest(pairs: list[tuple[int, int]]) -> None:
    groups, plain = Groups(31), {n: {n} for n in range(31)}
    for one, other in pairs:
        groups.join(one, other)
        joined = plain[one] | plain[other]
        plain.update(dict.fromkeys(joined, joined))
    assert [groups.of(n) for n in range(31)] == [min(plain[n]) for n in range(31)]
