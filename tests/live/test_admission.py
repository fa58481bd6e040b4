"""What is accepted can be answered in time; what cannot is refused at once, with the seconds after which to come again."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from leafloop.errors import Overloaded
from leafloop.live import admission
from leafloop.live.admission import Admission, Hands

LARGE, SMALL = 12_000_000, 100_000
WAIT_S = 20.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(admission, "time", made)
    return made


def held(gate: Admission, pixels: int) -> int:
    """How many photos of a size get in at once. None of them is answered, so nothing is learnt of it."""
    count = 0
    with suppress(Overloaded), ExitStack() as inside:
        while count < 1000:
            inside.enter_context(gate.place(pixels))
            count += 1
    return count


def answered(gate: Admission, clock: Clock, pixels: int, seconds: float, times: int = 1) -> None:
    for _ in range(times):
        with gate.place(pixels):
            clock.now += seconds


def test_no_more_photos_than_places() -> None:
    assert held(Admission(4), SMALL) == 4


def test_no_more_large_photos_than_can_be_answered_in_time(clock: Clock) -> None:
    gate = Admission(100)
    answered(gate, clock, LARGE, 1.0, times=20)
    assert 6 <= held(gate, LARGE) <= 7
    answered(gate, clock, LARGE, 0.5, times=20)
    assert 13 <= held(gate, LARGE) <= 14


def test_the_pace_of_a_small_photo_says_little_of_a_large_one(clock: Clock) -> None:
    gate = Admission(100)
    answered(gate, clock, SMALL, 0.04, times=30)
    assert held(gate, LARGE) >= 6


def test_photos_that_share_the_machine_are_not_counted_twice(clock: Clock) -> None:
    """Two at once, each in hand for two seconds, are one a second."""
    gate = Admission(100)
    for _ in range(20):
        with gate.place(LARGE):
            clock.now += 1
            with gate.place(LARGE):
                pass
            clock.now += 1
    assert 6 <= held(gate, LARGE) <= 8


def test_one_photo_alone_is_always_taken_however_large(clock: Clock) -> None:
    gate = Admission(100)
    answered(gate, clock, LARGE, 60.0, times=5)
    gate.refuse_when_full(10 * LARGE)
    assert held(gate, 10 * LARGE) == 1


def test_a_refusal_says_when_to_come_again_and_takes_no_place(clock: Clock) -> None:
    gate = Admission(100)
    answered(gate, clock, LARGE, 2.0, times=20)
    with gate.place(LARGE), gate.place(LARGE), gate.place(LARGE):
        for ask in (lambda: gate.refuse_when_full(LARGE), lambda: gate.place(LARGE).__enter__()):
            with pytest.raises(Overloaded) as refused:
                ask()
            assert refused.value.fields["retry_after_s"] == 3
        assert held(gate, LARGE) == 0
        gate.refuse_when_full()  # a small one still finds its place


def test_a_photo_that_fails_gives_its_place_back_and_says_nothing_of_the_pace(clock: Clock) -> None:
    gate = Admission(2)
    before = held(gate, LARGE)
    for _ in range(10):
        with pytest.raises(RuntimeError), gate.place(LARGE):
            clock.now += 100
            raise RuntimeError
    assert held(gate, LARGE) == before == 2


def test_hands_hold_no_more_pixels_than_they_may() -> None:
    hands, now, most, lock = Hands(30), 0, 0, threading.Lock()

    def work(pixels: int) -> None:
        nonlocal now, most
        with hands.hold(pixels):
            with lock:
                now += pixels
                most = max(most, now)
            time.sleep(0.001)
            with lock:
                now -= pixels

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, [5, 10, 25, 1, 30, 12] * 20))
    assert (now, most <= 30) == (0, True)


def test_a_photo_larger_than_all_that_is_allowed_is_held_alone_and_others_wait_their_turn() -> None:
    hands, order = Hands(30), []
    with ThreadPoolExecutor(3) as pool:
        with hands.hold(20):
            futures = []
            for name, pixels in (("huge", 100), ("small", 1)):
                futures.append(pool.submit(lambda n=name, p=pixels: _note(hands, p, order, n)))
                end = time.monotonic() + WAIT_S
                while len(hands._line) < len(futures) and time.monotonic() < end:
                    time.sleep(0.001)
            assert order == []  # the small one would fit, but it came later: a large photo must not starve
        for future in futures:
            future.result(WAIT_S)
    assert order == ["huge", "small"]


def _note(hands: Hands, pixels: int, order: list[str], name: str) -> None:
    with hands.hold(pixels):
        order.append(name)
        time.sleep(0.02)
