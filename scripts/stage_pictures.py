"""docs/pictures/stage-N.jpg for the labelling guide: a drawn leaf, and beside it the same with the boxes as they should be.

Run it by hand after the renderer or the taxonomy changes: JPEG bytes differ between libraries, so no test asks for the same ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from leafloop import taxonomy
from leafloop.simulation import leaves
from leafloop.simulation.leaves import RenderedPhoto

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"
WIDTH, HEIGHT = 800, 600  # rendered; a window of it is shown
SIDE = 360  # of the window, in pixels: lesions as large as on a phone's screen
MOST_BYTES = 60_000  # a page with seven of them has to load on a field phone
SEEDS = range(60)  # eight or so of each stage to choose from
GAP = 12

Pixels = npt.NDArray[np.uint8]


def main() -> int:
    classes = taxonomy.load()
    stages = max(lesion.severity for lesion in classes.classes)
    FOLDER.mkdir(exist_ok=True)
    for stage, (_, photo, window) in sorted(_best(stages).items()):
        path = FOLDER / f"stage-{stage}.jpg"
        path.write_bytes(_jpeg(_beside(photo, window, stage, classes.classes[stage].colour)))
        print(f"{path.name}: {path.stat().st_size} bytes")
    return 0


Chosen = tuple[int, RenderedPhoto, tuple[int, int]]  # what it is worth, the photo, and the window's corner (x, y)


def _best(stages: int) -> dict[int, Chosen]:
    """For each stage the window with the most whole lesions of it, on a photo that shows nothing of a later one."""
    best: dict[int, Chosen] = {}
    for seed in SEEDS:
        photo = leaves.render(
            seed,
            width=WIDTH,
            height=HEIGHT,
            stages=stages,
            view="part",
            clean=1 / (stages + 1),
            leafless=0.0,
            scale=(1.6, 2.0),
        )
        windows = [(x, y) for x in range(0, WIDTH - SIDE, 40) for y in range(0, HEIGHT - SIDE, 40)]
        worth, window = max((_worth(photo, window, photo.stage), window) for window in windows)
        if worth > best.get(photo.stage, (0,))[0]:
            best[photo.stage] = (worth, photo, window)
    return best


def _worth(photo: RenderedPhoto, window: tuple[int, int], stage: int) -> int:
    """Thousandths of leaf, and for each lesion of the stage that is whole in the window as much as for a tenth of the window."""
    x, y = window
    leaf = int(1000 * photo.leaf[y : y + SIDE, x : x + SIDE].mean())
    left, top, right, bottom = photo.xyxy_px.T if len(photo.xyxy_px) else np.zeros((4, 0))
    whole = (left > x + 6) & (top > y + 6) & (right < x + SIDE - 6) & (bottom < y + SIDE - 6)
    return leaf + 100 * min(int((whole & (photo.class_id == stage)).sum()), 6)


def _beside(photo: RenderedPhoto, window: tuple[int, int], stage: int, colour: str) -> Pixels:
    x, y = window
    plain = photo.pixels[y : y + SIDE, x : x + SIDE]
    boxed = plain.copy()
    ink = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
    for class_id, box in zip(photo.class_id, photo.xyxy_px, strict=True):
        corners = (box - np.array([x, y, x, y])).round().astype(int)
        mine = class_id == stage
        cv2.rectangle(boxed, corners[:2].tolist(), corners[2:].tolist(), (255, 255, 255), 4 if mine else 1)
        cv2.rectangle(
            boxed, corners[:2].tolist(), corners[2:].tolist(), ink if mine else (200, 200, 200), 2 if mine else 1
        )
    return np.hstack([plain, np.full((SIDE, GAP, 3), 255, np.uint8), boxed])


def _jpeg(pixels: Pixels) -> bytes:
    """As good as fits."""
    for quality in range(90, 30, -5):
        _, data = cv2.imencode(".jpg", np.ascontiguousarray(pixels[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(data) < MOST_BYTES:
            return data.tobytes()
    raise ValueError("the picture does not get small enough: show less of it")


if __name__ == "__main__":
    sys.exit(main())
