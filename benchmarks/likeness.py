"""How well copies of photos are found, and how often two photos are taken for copies that are none.

    python -m benchmarks.likeness [FOLDER ...]     folders of photos; without one, rendered leaves

Prints the recall of each kind of copy and the share of pairs of different photos that come as near as copies. `--every 4` takes
every fourth photo. Different photos of one leaf count as false here, since only a person could say.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from leafloop.simulation import leaves
from leafloop.vision import likeness
from leafloop.vision.detection import Pixels

PHOTOS = (".jpg", ".jpeg", ".png")
RENDERED, RENDERED_SEED, RENDERED_SIDE = 120, 6_000_000, 384
QUALITY, BRIGHTER = 40, (1.1, 8.0)  # of a messenger's JPEG; a tenth brighter and 8 levels more
LEAST_CROP = 0.75


def real(folders: Sequence[Path], every: int = 1) -> list[Pixels]:
    """The photos in folders, upright as OpenCV reads them."""
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in PHOTOS)
    return [_rgb(cv2.imread(str(path), cv2.IMREAD_COLOR)) for path in paths[::every]]


def rendered(count: int = RENDERED) -> list[Pixels]:
    """Rendered leaves seen from near, every other one without a spot: as alike as leaves get."""
    side = RENDERED_SIDE
    return [
        leaves.render(RENDERED_SEED + n, width=side, height=side, stages=6, view="part", clean=float(n % 2)).pixels
        for n in range(count)
    ]


def copies(photo: Pixels, seed: int) -> Iterator[tuple[str, Pixels]]:
    """A photo as it comes again: turned, mirrored, cut, squeezed, and all of it at once."""
    rng = np.random.default_rng(seed)
    for quarter in (1, 2, 3):
        yield f"turned {90 * quarter}", np.rot90(photo, quarter)
    yield "mirrored", photo[:, ::-1]
    for share in (0.9, 0.8):
        yield f"cropped to {share:.0%}, centre", cropped(photo, share, 0.5, 0.5)
        yield f"cropped to {share:.0%}, corner", cropped(photo, share, *rng.integers(0, 2, 2))
    yield "cropped at random", cropped(photo, rng.uniform(LEAST_CROP, 1), *rng.random(2))
    yield f"JPEG quality {QUALITY}", squeezed(photo)
    yield "half the size", halved(photo)
    times, more = BRIGHTER
    yield "brighter", np.clip(photo * times + more, 0, 255).astype(np.uint8)
    at_once = np.rot90(cropped(photo, rng.uniform(LEAST_CROP, 1), *rng.random(2)), int(rng.integers(4)))[:, ::-1]
    yield "cropped, turned, mirrored, halved, JPEG", squeezed(halved(np.ascontiguousarray(at_once)))


def cropped(photo: Pixels, share: float, right: float, down: float) -> Pixels:
    """A share of each side; `right` and `down`: 0 the left or upper edge, 1 the other."""
    height, width = photo.shape[:2]
    wide, high = round(width * share), round(height * share)
    x, y = round((width - wide) * right), round((height - high) * down)
    return photo[y : y + high, x : x + wide]


def squeezed(photo: Pixels) -> Pixels:
    return _rgb(cv2.imdecode(cv2.imencode(".jpg", _rgb(photo), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1], 1))


def halved(photo: Pixels) -> Pixels:
    height, width = photo.shape[:2]
    return np.asarray(cv2.resize(photo, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)


def _rgb(bgr: object) -> Pixels:
    return np.ascontiguousarray(np.asarray(bgr, np.uint8)[:, :, ::-1])


def measure(photos: Sequence[Pixels]) -> dict[str, object]:
    """`recall` by kind of copy, `false` (a share of all pairs) and the `nearest` of them, in bits."""
    known = [likeness.of(photo) for photo in photos]
    apart: dict[str, list[int]] = {}
    for number, (photo, own) in enumerate(zip(photos, known, strict=True)):
        for kind, copy in copies(photo, number):
            apart.setdefault(kind, []).append(likeness.distance(own, likeness.of(np.ascontiguousarray(copy))))
    strangers = np.array([likeness.distance(a, b) for n, a in enumerate(known) for b in known[:n]])
    return {
        "photos": len(photos),
        "recall": {kind: round(float(np.mean(np.array(d) <= likeness.NEAR)), 4) for kind, d in apart.items()},
        "bits_9_in_10": {kind: int(np.percentile(d, 90)) for kind, d in apart.items()},
        "pairs": len(strangers),
        "false": round(float(np.mean(strangers <= likeness.NEAR)), 8),
        "nearest": np.sort(strangers)[:10].tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Recall of copies, and false matches.")
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--every", type=int, default=1)
    told = parser.parse_args()
    photos = real(told.folders, told.every) if told.folders else rendered()
    sys.stdout.write(json.dumps(measure(photos), indent=2) + "\n")


if __name__ == "__main__":
    main()
