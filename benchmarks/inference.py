"""The whole benchmark: `make bench-inference OUT=figures.json`. Prints a table, writes JSON, and a PNG beside it.

Everything is measured in this one run, both sides taking turns: the ratios are what to keep, the seconds belong to the machine.
docs/BENCHMARKS.md says what each figure means and what is not comparable.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import (
    chart,
    machine,
    mergings,
    ours,
    over_photos,
    over_tiles,
    photos,
    report,
    seams,
    under_load,
    usual,
    weights,
)
from leafloop import log
from leafloop.live.parts import BUNDLED
from leafloop.vision.bundle import open_bundle
from leafloop.vision.reader import Reader


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    tile_turns: int = 9
    tiles: int = 96
    photo_turns: int = 6
    load: under_load.Plan = field(default_factory=under_load.Plan)
    seam_photos: int = 60
    seam_looks: int = 12


QUICK = Size(2, 32, 1, under_load.Plan(warm_up=3, saturation=5, step=5, memory=5, photos=8), 6, 2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 whatever the bars say: a busy machine misses them and is not broken."""
    told = _arguments(arguments)
    log.set_up("WARNING", "human")
    os.environ["YOLO_CONFIG_DIR"] = str(told.work.resolve())  # else Ultralytics writes into the user's own folder
    told.work.mkdir(parents=True, exist_ok=True)
    figures = measure(told.work, QUICK if told.quick else Size(), told.photos, leave_out=told.without)
    told.out.write_text(json.dumps({"quick": told.quick, **figures}, indent=1) + "\n", "utf-8")
    chart.draw(figures, told.out.with_suffix(".png"))
    print(report.markdown({"quick": told.quick, **figures}))
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("figures.json"), help="the JSON; the picture goes beside it")
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="keeps the throw-away model and photos")
    parser.add_argument("--photos", type=int, default=3, choices=range(1, 5), help="photos of each kind")
    parser.add_argument("--quick", action="store_true", help="few rounds: for a look, not for figures")
    parser.add_argument("--without", nargs="*", default=[], choices=["load", "seams"], help="parts to leave out")
    return parser.parse_args(arguments)


def measure(work: Path, size: Size, count: int, *, leave_out: Sequence[str]) -> report.Figures:
    """All figures, by name."""
    facts, began = machine.facts(), time.monotonic()
    _say("the throw-away yolo11n (made once), and the photos")
    ready, bundled = weights.ready(work), open_bundle(BUNDLED)
    drawn = {kind: photos.pictures(kind, count) for kind in photos.SEEDS}
    theirs, reader = usual.Usual(ready.pt), Reader(ready.bundle)
    figures: dict[str, Any] = {
        "turns": {"tiles": size.tile_turns, "photos": size.photo_turns},
        "machine": facts,
        "versions": usual.versions(),
        "precision": reader.precision,
        "confidence": usual.CONFIDENCE,
        "photos": [p.facts() | ours.tiles_looked_at(reader, p) for pictures in drawn.values() for p in pictures],
        "tiles_of_a_photo": theirs.tiles_of(photos.WIDTH, photos.HEIGHT),
    }
    _say("tiles a second")
    first = drawn["all leaf"][0]
    figures |= over_tiles.measure(ready.bundle, bundled, theirs, first, count=size.tiles, turns=size.tile_turns)
    with tempfile.TemporaryDirectory(prefix="leafloop-bench-") as folder:
        figures |= over_photos.measure(
            ready.bundle, bundled, theirs, drawn, Path(folder), turns=size.photo_turns, say=_say
        )
        if "load" not in leave_out:
            figures |= under_load.measure(Path(folder), drawn["all leaf"], size.load, _say)
    if "seams" not in leave_out:
        _say("seams")
        figures |= seams.measure(bundled, work, mergings.COUNTS, photos=size.seam_photos, looked_at=size.seam_looks)
    return figures | {"seconds": round(time.monotonic() - began)}


def _say(what: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
