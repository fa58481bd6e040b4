"""From figures to words: the bars, the table in a terminal, and the block in docs/BENCHMARKS.md. Measures nothing.

python -m benchmarks.report FIGURES.json docs/BENCHMARKS.md      writes the page's figures from a run's JSON
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures: begin (written by `python -m benchmarks.report`) -->", "<!-- figures: end -->"
Figures = dict[str, Any]
Row = Sequence[str]


@dataclass(frozen=True)
class Bar:
    """What a figure is to reach on 2 cores with bf16; elsewhere it is only reported."""

    key: str
    says: str
    at_least: float | None = None
    below: float | None = None

    def met(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.below is None or value < self.below)

    @property
    def wanted(self) -> str:
        return f"at least {self.at_least:g}" if self.at_least is not None else f"below {self.below:g}"


BARS = (
    Bar("ratio_usual_736", "tiles/s, of Ultralytics one tile a call at 736", at_least=30),
    Bar("ratio_usual_256", "tiles/s, of Ultralytics one tile a call at 256", at_least=5),
    Bar("ratio_sahi_photo", "a 12-megapixel photo, all leaf, of SAHI", at_least=5),
    Bar("ratio_supervision_photo", "the same, of supervision", at_least=5),
    Bar("ratio_sahi_half_empty", "a photo half sky and soil, of SAHI", at_least=8),
    Bar("ratio_supervision_half_empty", "the same, of supervision", at_least=8),
    Bar("share_of_peak", "share of the measured convolution peak", at_least=0.6),
    Bar("share_decode_tile_merge", "decode, tile and merge of a photo's time", below=0.15),
    Bar("rss_mb_loaded", "memory (summed PSS, MB), 16 callers", below=900),
    Bar("refused_p99_ms", "a 503, p99 of the worst part, ms", below=100),
    Bar("accepted_max_ms", "the slowest accepted request of all, ms", below=10_000),
    Bar("health_p99_ms", "/health while saturated, p99 ms", below=20),
    Bar("seams_changed", "photos whose count moves with the grid: merging alone, exact detector", below=0.02),
)
# What a run always has; the load and the seams may be left out of a quick one.
ALWAYS = tuple(bar.key for bar in BARS[:8])


def table(header: Row, rows: Sequence[Row]) -> str:
    """Markdown, with columns that line up: it is read in a terminal as well."""
    wide = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = [_line(header, wide), "|" + "|".join("-" * (w + 2) for w in wide) + "|"]
    return "\n".join(lines + [_line(row, wide) for row in rows])


def _line(row: Row, wide: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)) + " |"


def markdown(figures: Figures) -> str:
    """Everything that a person should see of a run."""
    return "\n\n".join(part for part in _parts(figures) if part)


def _parts(figures: Figures) -> Iterator[str]:
    yield _machine(figures)
    yield table(("figure", "what", "measured", "bar", ""), list(_bars(figures)))
    yield "**Tiles of 256 pixels**\n\n" + table(
        ("way", "tiles/s", "Leafloop is faster by", "processor ms a tile"), list(_tiles(figures))
    )
    yield "**A 12-megapixel JPEG**\n\n" + table(
        ("way", "all leaf, ms", "", "half empty, ms", ""), list(_photo(figures))
    )
    yield "**Where Leafloop's time goes** (ms a photo)\n\n" + _split(figures)
    yield _load(figures)
    yield _seams(figures)


def _machine(figures: Figures) -> str:
    m, versions = figures["machine"], figures["versions"]
    lines = [
        f"{m['processor']}, {m['cores']} cores, {' '.join(m['flags'])}; precision {figures['precision']}; load before "
        f"the run {m['load_before']}; {m['measured_at'][:10]}; {'quick, ' if figures['quick'] else ''}"
        f"{figures['turns']['tiles']} turns for tiles, {figures['turns']['photos']} for photos.",
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
    ]
    return "\n".join(lines)


def _bars(figures: Figures) -> Iterator[Row]:
    for bar in BARS:
        value = figures.get(bar.key)
        if value is None:
            yield f"`{bar.key}`", bar.says, "not measured", bar.wanted, ""
        else:
            yield f"`{bar.key}`", bar.says, f"{value:g}", bar.wanted, "met" if bar.met(value) else "**not met**"
    if "seams" in figures:
        yield "", "the same with the bundled model", f"{figures['seams']['bundled'][OURS]['changed']:g}", "-", ""


def _tiles(figures: Figures) -> Iterator[Row]:
    rates = figures["tiles_s"]
    for name, rate in rates.items():
        yield name, f"{rate:.1f}", f"{rates[OURS] / rate:.1f}", f"{figures['cpu_ms_a_tile'][name]:.1f}"


def _photo(figures: Figures) -> Iterator[Row]:
    full, half = figures["photo_ms"]["all leaf"], figures["photo_ms"]["half empty"]
    for name in full:
        others = half.get(name)
        yield (
            name,
            f"{full[name]:.0f}",
            f"{full[name] / full[TO_VERDICT]:.1f}",
            f"{others:.0f}" if others else "-",
            f"{others / half[TO_VERDICT]:.1f}" if others else "-",
        )


def _split(figures: Figures) -> str:
    splits = figures["split_ms"]
    names = list(next(iter(splits.values())))
    return table(("", *names), [(kind, *(f"{split[name]:.0f}" for name in names)) for kind, split in splits.items()])


def _load(figures: Figures) -> str:
    load = figures.get("load")
    if load is None:
        return ""
    columns: Row = (
        "photos_s",
        "sent",
        "accepted",
        "refused_503",
        "failed",
        "p50_ms",
        "p95_ms",
        "p99_ms",
        "max_ms",
        "refused_p99_ms",
        "health_p99_ms",
    )
    rows = [(f"{step['share_of_saturation']:.0%}", *(_cell(step[c]) for c in columns)) for step in load["steps"]]
    memory = load["memory_mb"]
    return (
        f"**The service under load** (12-megapixel photos, Poisson arrivals, latency from when a request was due; full at "
        f"{load['saturation_photos_s']:.2f} photos/s; pinned: {load['pinned']})\n\n{table(('of full', *columns), rows)}\n\n"
        f"Memory, summed PSS of the service and its children: idle {memory['idle']} MB, under 16 callers at most "
        f"{memory['loaded']} MB, after {memory['after']} MB."
    )


def _seams(figures: Figures) -> str:
    seams = figures.get("seams")
    if seams is None:
        return ""
    rows = [
        (
            name,
            *(f"{seams[detector][name][key]:.2%}" for detector in ("exact", "bundled") for key in ("changed", "moved")),
        )
        for name in seams["exact"]
    ]
    header = ("merging", "exact: photos changed", "count moves by", "bundled model: photos changed", "count moves by")
    return (
        f"**Seams** ({seams['photos']} rendered photos, {seams['lesions']} lesions, {len(seams['offsets'])} offsets of the "
        f"grid; bundled model: {seams['bundled_photos']} of them)\n\n{table(header, rows)}"
    )


def _cell(value: float | int | None) -> str:
    return "-" if value is None else f"{value:g}"


OURS = "Leafloop"
TO_VERDICT = "Leafloop, to the verdict"


def write_into(page: Path, figures: Figures) -> None:
    """Put the figures between the page's two marks. Raises ValueError when it has none."""
    text = page.read_text("utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page} has no place for figures: it needs the lines {BEGIN!r} and {END!r}")
    head, rest = text.split(BEGIN, 1)
    page.write_text(f"{head}{BEGIN}\n{markdown(figures)}\n{END}{rest.split(END, 1)[1]}", "utf-8")


if __name__ == "__main__":
    write_into(Path(sys.argv[2]), json.loads(Path(sys.argv[1]).read_text("utf-8")))
