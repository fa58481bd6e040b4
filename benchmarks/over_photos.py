"""A whole 12-megapixel JPEG by each way: bytes to verdict, and with Leafloop also kept. Decoding counts on both sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks import ours, rounds, usual
from benchmarks.photos import Kind, Picture
from benchmarks.report import OURS, TO_VERDICT, Figures
from benchmarks.rounds import Way
from leafloop.vision.bundle import Bundle

KEPT, KEPT_BUNDLED = f"{OURS}, kept", f"{OURS}, its bundled model, kept"
SAHI, SUPERVISION = "SAHI", "supervision"
AROUND = (
    "decode",
    "tile",
    "merge",
    "verdict",
)  # what is not inference; the verdict's lap has the photo's quality in it


def measure(
    bundle: Bundle,
    bundled: Bundle,
    theirs: usual.Usual,
    drawn: dict[Kind, list[Picture]],
    folder: Path,
    *,
    turns: int,
    say: Callable[[str], object],
) -> Figures:
    """Each round takes the next photo of its kind, as bytes that nobody has seen before."""
    figures: Figures = {
        "photo_ms": {},
        "split_ms": {},
        "boxes_of_a_photo": {},
        "photo_seconds": {},
        "photo_cpu_seconds": {},
    }
    for kind, pictures in drawn.items():
        say(f"photos, {kind}")
        named = {KEPT: bundle, KEPT_BUNDLED: bundled}
        homes = {name: ours.Answers(of, folder / f"home-{kind[:4]}-{n}") for n, (name, of) in enumerate(named.items())}
        bench = _Bench(homes, theirs, pictures, folder / "photo.jpg")
        found = bench.take_turns(turns, batched=kind == "all leaf")
        splits = {name: home.split() for name, home in homes.items()}
        ms = {name: round(1000 * value, 1) for name, value in rounds.medians(found.wall).items()}
        figures["photo_ms"][kind] = {TO_VERDICT: splits[KEPT]["to_verdict"], **ms}
        figures["split_ms"] |= {kind: splits[KEPT], f"{kind}, bundled model": splits[KEPT_BUNDLED]}
        figures["boxes_of_a_photo"][kind] = bench.boxes
        figures["photo_seconds"][kind], figures["photo_cpu_seconds"][kind] = found.wall, found.cpu
        for home in homes.values():
            home.close()
    return figures | _ratios(figures)


class _Bench:
    """The photo of the round lies in `file`; each way reads it from there."""

    def __init__(
        self, homes: dict[str, ours.Answers], theirs: usual.Usual, pictures: Sequence[Picture], file: Path
    ) -> None:
        self._homes, self._theirs, self._pictures, self._file = homes, theirs, pictures, file
        self.boxes: dict[str, int] = {}  # of the last photo
        self._copy = 100  # those before are for the rounds: what was stored once is not stored again

    def take_turns(self, turns: int, *, batched: bool) -> rounds.Turns:
        ways = [
            Way(name, partial(self._answer, name), warm=partial(self._warm, home)) for name, home in self._homes.items()
        ]
        ways += [self._way(SAHI, self._theirs.sahi, 1), self._way(SUPERVISION, self._theirs.supervision, 1)]
        if batched:
            many = f"{usual.BATCH} tiles a batch"
            ways.append(self._way(f"{SAHI}, {many}", self._theirs.sahi, usual.BATCH))
            ways.append(self._way(f"{SUPERVISION}, {many}", self._theirs.supervision, usual.BATCH))
        return rounds.take_turns(ways, turns, before=self._lay)

    def _lay(self, number: int) -> None:
        self._file.write_bytes(self._pictures[number % len(self._pictures)].jpeg(number))

    def _warm(self, home: ours.Answers) -> None:
        self._copy += 1
        home.warm(self._pictures[0].jpeg(self._copy))

    def _answer(self, name: str) -> None:
        home = self._homes[name]
        home.answer(self._file.read_bytes())
        self.boxes[name] = home.boxes

    def _way(self, name: str, look: Callable[..., int], batch: int) -> Way:
        return Way(name, lambda: self.boxes.__setitem__(name, look(self._file, batch=batch)))


def _ratios(figures: Figures) -> Figures:
    full, half = figures["photo_ms"]["all leaf"], figures["photo_ms"]["half empty"]
    split = figures["split_ms"]["all leaf"]
    return {
        "ratio_sahi_photo": round(full[SAHI] / full[TO_VERDICT], 2),
        "ratio_supervision_photo": round(full[SUPERVISION] / full[TO_VERDICT], 2),
        "ratio_sahi_half_empty": round(half[SAHI] / half[TO_VERDICT], 2),
        "ratio_supervision_half_empty": round(half[SUPERVISION] / half[TO_VERDICT], 2),
        "share_decode_tile_merge": round(sum(split[lap] for lap in AROUND) / split["to_verdict"], 4),
    }
