"""Tiles a second of each way over the same weights, and how much of what the processor can do that is."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

import torch

from benchmarks import ours, peak, rounds, usual
from benchmarks.photos import Picture
from benchmarks.report import OURS, Figures
from benchmarks.rounds import Turns, Way
from leafloop.vision.bundle import Bundle
from leafloop.vision.detector import Detector

F32, BUNDLED = f"{OURS} in f32", f"{OURS}, its bundled model"
AT_736, AT_256 = "Ultralytics, one tile a call, at 736", "Ultralytics, one tile a call, at 256"
BATCHED = f"Ultralytics, {usual.BATCH} tiles a call, at 256"
BARE = "bare network"
NMS_BOXES, NMS_TIMES = 12, 200


def measure(
    bundle: Bundle, bundled: Bundle, theirs: usual.Usual, picture: Picture, *, count: int, turns: int
) -> Figures:
    """`count` tiles of the photo a turn for Leafloop; for the slower ways fewer of the same tiles, so that a turn stays short."""
    work = ours.TileWork(picture, count)
    detectors = {OURS: Detector(bundle), F32: Detector(bundle, precision="f32"), BUNDLED: Detector(bundled)}
    precision = detectors[OURS].precision
    chains = {chain.name: chain for chain in (peak.Chain(*size, precision) for size in peak.SIZES)}
    network = peak.Network(bundle, precision)
    compared = [*_ours(work, detectors), *_theirs(work, theirs)]
    limits = [Way(c.name, c.run, c.flops) for c in chains.values()]
    found = rounds.take_turns([*compared, *limits, Way(BARE, network.run, network.tiles)], turns)
    names = [way.name for way in compared]
    return {
        **_ratios(found, names),
        **_limits(found, list(chains), peak.flops_of_bundle(bundle)),
        "boxes_in_the_same_tiles": _boxes(work, detectors[OURS], theirs),
        "stand_in_nms_us": stand_in_us(),
        "tile_seconds": found.wall,
        "tile_cpu_seconds": found.cpu,
    }


def _ours(work: ours.TileWork, detectors: dict[str, Detector]) -> list[Way]:
    return [Way(name, partial(work.detect, one, usual.CONFIDENCE), len(work.index)) for name, one in detectors.items()]


def _theirs(work: ours.TileWork, theirs: usual.Usual) -> list[Way]:
    few, some, many = (work.bgr(count) for count in (8, 16, 2 * usual.BATCH))
    return [
        *(
            Way(name, partial(theirs.one_by_one, tiles, size), len(tiles))
            for name, tiles, size in ((AT_736, few, 736), (AT_256, some, 256))
        ),
        Way(BATCHED, partial(theirs.batched, many), len(many)),
    ]


def _ratios(found: Turns, names: list[str]) -> Figures:
    return {
        "tiles_s": {name: round(1 / value, 2) for name, value in rounds.medians(found.wall).items() if name in names},
        "cpu_ms_a_tile": {
            name: round(1000 * value, 2) for name, value in rounds.medians(found.cpu).items() if name in names
        },
        "ratio_usual_736": round(rounds.ratio(found.wall, AT_736, OURS), 2),
        "ratio_usual_256": round(rounds.ratio(found.wall, AT_256, OURS), 2),
        "ratio_usual_256_batched": round(rounds.ratio(found.wall, BATCHED, OURS), 2),
        "ratio_usual_256_both_f32": round(rounds.ratio(found.wall, AT_256, F32), 2),
    }


def _limits(found: Turns, chains: list[str], work_a_tile: int) -> Figures:
    rate = {name: 1 / seconds for name, seconds in rounds.medians(found.wall).items()}
    best = max(rate[name] for name in chains)
    return {
        "gflop_a_tile": round(work_a_tile / 1e9, 4),
        "peak_gflop_s": {name: round(rate[name] / 1e9, 1) for name in chains},
        "share_of_peak": round(rate[OURS] * work_a_tile / best, 4),
        "share_of_peak_bare_network": round(rate[BARE] * work_a_tile / best, 4),
    }


def _boxes(work: ours.TileWork, detector: Detector, theirs: usual.Usual) -> dict[str, int]:
    """On every tile of the work: real boxes, and the same number within rounding, or the comparison is void."""
    return {OURS: work.detect(detector, usual.CONFIDENCE), "Ultralytics": theirs.batched(work.bgr(len(work.index)))}


def stand_in_us() -> float:
    """What the stand-in for torchvision's NMS takes for the boxes of a busy tile, microseconds."""
    corner = torch.rand(NMS_BOXES, 2, generator=torch.Generator().manual_seed(0)) * 200
    given: Any = torch.cat([corner, corner + 30], 1), torch.linspace(0.9, 0.3, NMS_BOXES), usual.IOU
    times = []
    for _ in range(NMS_TIMES):
        began = time.perf_counter()
        usual.quick_nms(*given)
        times.append(time.perf_counter() - began)
    return round(1e6 * statistics.median(times), 1)
