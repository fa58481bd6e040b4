"""The run as one picture. Knows the figures' names, measures nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

from benchmarks.report import Figures

mpl.use("Agg")  # no screen is needed
from matplotlib import pyplot as plt

OURS_COLOUR, THEIRS_COLOUR = "#2f7d32", "#9aa0a6"
LAPS = {
    "decode": "#c6e5b3",
    "tile": "#8fc97a",
    "infer": OURS_COLOUR,
    "merge": "#f2b134",
    "verdict": "#d98324",
    "store": "#7a8fa6",
}


def draw(figures: Figures, path: Path) -> None:
    """Write a PNG."""
    figure, ((tiles, photo), (split, last)) = plt.subplots(2, 2, figsize=(13, 8.5), layout="constrained")
    _bars(tiles, figures["tiles_s"], "Tiles of 256 pixels: tiles/s (more is better)")
    _bars(photo, figures["photo_ms"]["all leaf"], "12-megapixel JPEG, all leaf: ms (less is better)")
    _split(split, figures["split_ms"])
    if "load" in figures:
        _load(last, figures["load"])
    else:
        last.set_axis_off()
    machine = figures["machine"]
    figure.suptitle(f"Leafloop on {machine['processor']}, {machine['cores']} cores, {figures['precision']}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _bars(axes: Axes, values: dict[str, float], title: str) -> None:
    names = list(values)[::-1]
    colours = [OURS_COLOUR if name.startswith("Leafloop") else THEIRS_COLOUR for name in names]
    drawn = axes.barh(names, [values[name] for name in names], color=colours)
    axes.bar_label(drawn, fmt="%.0f", padding=3)
    axes.set_title(title, fontsize=10)
    axes.margins(x=0.12)


def _split(axes: Axes, splits: dict[str, dict[str, float]]) -> None:
    names = list(splits)[::-1]
    left = [0.0] * len(names)
    for lap, colour in LAPS.items():
        values = [splits[name][lap] for name in names]
        axes.barh(names, values, left=left, color=colour, label=lap)
        left = [a + b for a, b in zip(left, values, strict=True)]
    axes.legend(fontsize=8)
    axes.set_title("Where a photo's time goes: ms", fontsize=10)


def _load(axes: Axes, load: dict[str, Any]) -> None:
    steps = load["steps"]
    at = [100 * step["share_of_saturation"] for step in steps]
    for key, style in (("p50_ms", "o-"), ("p99_ms", "s-"), ("refused_p99_ms", "x--"), ("health_p99_ms", "^:")):
        axes.plot(at, [step[key] for step in steps], style, label=key)
    axes.set_yscale("log")
    axes.set_xlabel("% of what the service can answer")
    axes.legend(fontsize=8)
    axes.set_title("Under load, latency from when a request was due: ms", fontsize=10)
