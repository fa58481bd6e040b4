"""Takes turns between ways of doing the same work, so that a noisy minute falls on all of them. Knows no model and no photo."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Seconds = dict[str, list[float]]  # way -> seconds a unit of work, one for each round


@dataclass(frozen=True)
class Turns:
    """`wall`: by the clock on the wall, what the ratios are of. `cpu`: of the processor, all threads of this process: what the work
    costs, and nearly the same on a busy machine. Child processes and other people's are not in it."""

    wall: Seconds
    cpu: Seconds


def _nothing(*_: object) -> None:
    return None


@dataclass(frozen=True)
class Way:
    """`run` does `units` of work. `warm` is done before each turn and not timed: caches, clocks and threads are as in the midst of
    the way's own work, not as a rest or the way before left them (decoding after either took up to three times as long).
    None: the work itself."""

    name: str
    run: Callable[[], object]
    units: float = 1.0
    warm: Callable[[], object] | None = None


def take_turns(ways: Sequence[Way], rounds: int, *, before: Callable[[int], object] = _nothing) -> Turns:
    """Each way once a round, each round begun by the next one. `before` is told the round's number and is not timed."""
    turns = Turns({way.name: [] for way in ways}, {way.name: [] for way in ways})
    for number in range(rounds):
        before(number)
        first = number % len(ways)
        for way in (*ways[first:], *ways[:first]):
            (way.warm or way.run)()
            began, spent = time.perf_counter(), time.process_time()
            way.run()
            turns.wall[way.name].append((time.perf_counter() - began) / way.units)
            turns.cpu[way.name].append((time.process_time() - spent) / way.units)
    return turns


def medians(found: Seconds) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in found.items()}


def ratio(found: Seconds, other: str, ours: str) -> float:
    """How many times the other way takes as long: of medians, so that one bad round of either side says nothing."""
    return statistics.median(found[other]) / statistics.median(found[ours])
