"""Whatever bytes come, a photo or a refusal comes back: never a crash, a hang, or an error without a name.

The decoders run in their child processes, as in the service, so that one which dies is seen here and not felt. What killed one is
kept beside the test's other files, and its place is in the failure.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy
from tests import hostile
from tests.vision import mutations

from leafloop import metrics
from leafloop.errors import PhotoError
from leafloop.vision.decoders import Decoders
from leafloop.vision.photo import Photo, PhotoLimits

LIMITS = PhotoLimits(max_pixels=4_000_000)  # a lie about the size is refused early, or costs a fraction of a second
Check = Callable[[bytes], None]
SECONDS = int(os.environ.get("LEAFLOOP_TEST_FUZZ_SECONDS", "120"))
QUICK = settings(max_examples=300, deadline=None, derandomize=True, database=None)
LONG = settings(max_examples=500, deadline=None, database=None)


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with Decoders(LIMITS) as opened:
        opened.start()
        yield opened


def lost() -> float:
    """How many decoders died or hung so far."""
    return sum(s.value for m in metrics.DECODERS_LOST.collect() for s in m.samples if s.name.endswith("_total"))


def read(decoders: Decoders, data: bytes, keep_in: Path) -> Photo | None:
    """The photo; None for one that is refused. Fails for bytes that cost a decoder its life."""
    before = lost()
    try:
        photo = decoders.read(data, decoders.check(data))
    except PhotoError:
        photo = None
    if lost() != before:
        kept = keep_in / f"killer-{hashlib.sha256(data).hexdigest()[:16]}"
        kept.write_bytes(data)
        pytest.fail(f"a decoder died or hung over these {len(data)} bytes: {kept}")
    return photo


def hold(decoders: Decoders, data: bytes, keep_in: Path) -> None:
    """What is taken can be read again from its kept copy, to the pixel."""
    photo = read(decoders, data, keep_in)
    if photo is not None:
        again = read(decoders, photo.kept.data, keep_in)
        assert again is not None, "a kept copy was refused"
        assert (again.pixels == photo.pixels).all()
        assert again.kept.sha256 == photo.kept.sha256


def hold_and_tell_nothing(decoders: Decoders, data: bytes, keep_in: Path) -> None:
    hold(decoders, data, keep_in)
    photo = read(decoders, data, keep_in)
    assert photo is None or not [canary for canary in hostile.CANARIES if canary in photo.kept.data]


def try_all(strategy: SearchStrategy[bytes], check: Check, how: settings, seed: int | None = None) -> None:
    @how
    @given(data=strategy)
    def one(data: bytes) -> None:
        check(data)

    (one if seed is None else hypothesis.seed(seed)(one))()


def test_rearranged_files_are_read_or_refused_and_tell_nothing(decoders: Decoders, tmp_path: Path) -> None:
    try_all(mutations.rearranged(), lambda data: hold_and_tell_nothing(decoders, data, tmp_path), QUICK)


def test_damaged_files_are_read_or_refused(decoders: Decoders, tmp_path: Path) -> None:
    try_all(mutations.damaged(), lambda data: hold(decoders, data, tmp_path), QUICK)


def test_enough_of_the_files_get_past_the_first_look() -> None:
    """Else the two above would prove little: they have to reach the code that decodes."""
    seen = {data: len(mutations.pieces(data)) for data in mutations.seeds()}
    assert sum(count > 3 for count in seen.values()) > len(seen) / 2
    assert all(b"".join(mutations.pieces(data)) == data for data in seen)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
def test_for_a_set_time_nothing_kills_a_decoder(decoders: Decoders, tmp_path: Path) -> None:
    """LEAFLOOP_TEST_FUZZ_SECONDS says how long. Every round has its own seed, named when it fails."""
    end, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        try_all(mutations.rearranged(), lambda data: hold_and_tell_nothing(decoders, data, tmp_path), LONG, number)
        try_all(mutations.damaged(), lambda data: hold(decoders, data, tmp_path), LONG, number)
        number += 1
