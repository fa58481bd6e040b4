"""Rendered photos as a dataset: which seeds and sizes make the training, validation and held-out photos of the bundled model.

The three sets have seeds of their own and never share a photo. Sizes are those of small shared pictures up to 12 megapixels.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from leafloop.learning.training import dataset
from leafloop.simulation import leaves
from leafloop.vision.detection import FloatArray, IntArray

PhotoSet = Literal["train", "val", "test"]

FIRST_SEED: dict[PhotoSet, int] = {"train": 0, "val": 1_000_000, "test": 2_000_000}
# Small pictures teach as much a second as large ones (lesions have the same size in pixels) and differ more from each other.
_SMALL, _MIDDLE, _LARGE = (
    ((512, 512), (512, 640)),
    ((768, 1024), (1024, 768)),
    ((1632, 1224), (2592, 1944), (4000, 3000)),
)
TRAIN_SIZES = 3 * _SMALL + 4 * _MIDDLE + ((1632, 1224),) + _LARGE
PHONE_SIZES = (
    (1632, 1224),
    (1632, 1224),
    (1224, 1632),
    (2592, 1944),
    (4000, 3000),
)  # 2 to 12 megapixels: what is judged
LEAFLESS_BELOW = 0.02  # of the frame: less leaf than this, and there is nothing to judge
WIDE_SCALE = (0.55, 2.2)  # lesions seen from farther and nearer than the renderer's default
WIDE_SHARE = 0.25  # of the training photos: for photos from people who stand elsewhere


@dataclass(frozen=True)
class Plan:
    """How many photos of each kind. val: cut into tiles for the trainer's own watch. judge_on: the first of the same validation
    photos, whole, on which thresholds are chosen. test: only judged."""

    train: int = 900
    val: int = 36
    judge_on: int = 100
    test: int = 120
    test_after: int = 120  # the first were looked at while the rules of the thresholds were written: they judge no more


def photo(which: PhotoSet, number: int, stages: int) -> leaves.RenderedPhoto:
    """The photo `number` of a set: the same for ever, as long as the renderer is."""
    seed = FIRST_SEED[which] + number
    rng = np.random.default_rng([seed, 7])
    sizes = TRAIN_SIZES if which == "train" else PHONE_SIZES
    width, height = sizes[int(rng.integers(len(sizes)))]
    if which == "train" and rng.random() < WIDE_SHARE:
        return leaves.render(seed, width=width, height=height, stages=stages, scale=WIDE_SCALE)
    return leaves.render(seed, width=width, height=height, stages=stages)


@dataclass(frozen=True)
class Shot:
    """A rendered photo as its JPEG, and the truth. class_id: int64 [n]. xyxy_px: float32 [n, 4]. stage: None without leaf."""

    jpeg: bytes
    class_id: IntArray
    xyxy_px: FloatArray
    stage: int | None


def shot(which: PhotoSet, number: int, stages: int, keep_in: Path | None = None) -> Shot:
    """The photo `number` of a set as a phone would send it; kept in a folder, so that a second look costs no rendering."""
    path = None if keep_in is None else keep_in / f"{which}{number:06d}.npz"
    if path is not None and path.is_file():
        with np.load(path) as kept:
            stage = int(kept["stage"])
            return Shot(kept["jpeg"].tobytes(), kept["class_id"], kept["xyxy_px"], None if stage < 0 else stage)
    taken = take(photo(which, number, stages), number)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}")
        with part.open("wb") as file:
            jpeg, stage = np.frombuffer(taken.jpeg, np.uint8), -1 if taken.stage is None else taken.stage
            np.savez(file, jpeg=jpeg, class_id=taken.class_id, xyxy_px=taken.xyxy_px, stage=np.int64(stage))
        part.replace(path)
    return taken


def take(drawn: leaves.RenderedPhoto, seed: int, *, quality: tuple[int, int] = (70, 95)) -> Shot:
    """Press the button: JPEG of a quality drawn by the seed."""
    stage = drawn.stage if drawn.leaf.mean() >= LEAFLESS_BELOW else None
    return Shot(leaves.encode(drawn, seed, quality=quality), drawn.class_id, drawn.xyxy_px, stage)


def write_dataset(
    folder: Path,
    classes: tuple[str, ...],
    plan: Plan,
    *,
    processes: int = 2,
    on_photo: Callable[[int, int], None] | None = None,
) -> int:
    """Render and cut the training and validation photos; the largest number of boxes in a tile.

    A folder that is whole already is left as it is, and its number is read back.
    """
    done = folder / "most_boxes.txt"
    if done.is_file():
        return int(done.read_text("utf-8"))
    tasks: list[tuple[dataset.Split, int]] = [("val", n) for n in range(plan.val)] + [
        ("train", n) for n in range(plan.train)
    ]
    written: list[dataset.Written] = []
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for photo_written in pool.map(partial(_write_one, folder, len(classes)), tasks, chunksize=4):
            written.append(photo_written)
            if on_photo:
                on_photo(len(written), len(tasks))
    dataset.finish(folder, classes, written)
    most = max(photo_written.most_boxes for photo_written in written)
    done.write_text(f"{most}\n", "utf-8")
    return most


def _write_one(folder: Path, classes: int, task: tuple[dataset.Split, int]) -> dataset.Written:
    which, number = task
    rendered = photo(which, number, classes - 1)
    name = f"{which}{number:06d}"
    labelled = dataset.LabelledPhoto(name, rendered.pixels, rendered.class_id, rendered.xyxy_px)
    return dataset.write_photo(
        folder, which, labelled, np.random.default_rng([FIRST_SEED[which] + number, 11]), classes=classes
    )
