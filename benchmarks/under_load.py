"""What a real service does under callers: at rates from a quarter to one and a half times what it can answer, and its memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import service
from benchmarks.load import Callers, percentile, probing_health, summary
from benchmarks.photos import Picture
from benchmarks.report import Figures

STEPS = (0.25, 0.5, 0.75, 1.0, 1.5, 3.0)  # of what four callers in turn get answered; the last one is far too much
FULL_CALLERS = 4  # enough that it always has a photo to work on, few enough that none is sent away
MANY_CALLERS = 16


@dataclass(frozen=True)
class Plan:
    """Seconds of each part, and how many different photos are sent: one that is sent again is not stored again."""

    warm_up: float = 8
    saturation: float = 15
    step: float = 30
    memory: float = 20
    photos: int = 48


def measure(folder: Path, pictures: Sequence[Picture], plan: Plan, say: Callable[[str], object]) -> Figures:
    """Of the service as it ships, with its bundled model. Neither side is pinned to a core: callers take their share."""
    files = [folder / f"sent-{number}.jpg" for number in range(plan.photos)]
    for number, file in enumerate(files):
        file.write_bytes(pictures[number % len(pictures)].jpeg(number))
    with service.running(folder / "served") as running:
        found = _serve(running, Callers(running.host, running.port, files), plan, say)
    memory = found["memory_mb"]
    return {"load": found, "rss_mb_idle": memory["idle"], "rss_mb_loaded": memory["loaded"], **worst(found)}


def worst(found: dict[str, Any]) -> Figures:
    """What the bars are for: the slowest 503 and the slowest answer of every part, and `/health` where photos were sent away."""
    parts = [*found["steps"], found["closed_loop_16"]]
    saturated = [step["health_p99_ms"] for step in found["steps"] if step["refused_503"]]
    return {
        "refused_p99_ms": max((part["refused_p99_ms"] for part in parts if part["refused_503"]), default=None),
        "accepted_max_ms": max((part["max_ms"] for part in parts if part["accepted"]), default=None),
        "health_p99_ms": max(saturated, default=None),
    }


def _serve(running: service.Service, callers: Callers, plan: Plan, say: Callable[[str], object]) -> dict[str, Any]:
    say("service: idle, then warm")
    idle = running.memory_mb()
    callers.in_turn(FULL_CALLERS, plan.warm_up)
    say("service: how much can it answer")
    answers, seconds = callers.in_turn(FULL_CALLERS, plan.saturation)
    full = sum(a.status == 200 for a in answers) / seconds
    steps = []
    for number, share in enumerate(STEPS):
        say(f"service: {share:.0%} of {full:.2f} photos/s")
        steps.append(_step(running, callers, share, full, plan.step, seed=number))
    say(f"service: memory under {MANY_CALLERS} callers")
    with service.watching_memory(running) as samples:
        answers, _ = callers.in_turn(MANY_CALLERS, plan.memory)
    return {
        "pinned": "neither the service nor its callers",
        "saturation_photos_s": round(full, 3),
        "steps": steps,
        "memory_mb": {"idle": round(idle), "loaded": round(max(samples)), "after": round(running.memory_mb())},
        "closed_loop_16": summary(answers),
    }


def _step(
    running: service.Service, callers: Callers, share: float, full: float, seconds: float, *, seed: int
) -> dict[str, Any]:
    with probing_health(running.host, running.port) as health:
        answers = callers.at_rate(share * full, seconds, seed)
    times = [a.ms for a in health]
    return {
        "share_of_saturation": share,
        "photos_s": round(share * full, 3),
        **summary(answers),
        "health_asked": len(health),
        "health_failed": sum(a.status != 200 for a in health),
        "health_p50_ms": round(percentile(times, 0.5), 1),
        "health_p99_ms": round(percentile(times, 0.99), 1),
    }
