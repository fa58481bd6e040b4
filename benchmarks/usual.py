"""The usual way: Ultralytics tile by tile, and SAHI and supervision over a photo. Installed by who runs the benchmark; AGPL-3.0.

Each is set up as its documentation says, at its best for this task: tiles at their own size, the same overlap and threshold.
Ultralytics wants torchvision when it is imported and for its NMS, and torchvision has no CPU wheel that fits torch's. Where it is
absent, `leafloop.learning.training.torchvision_shim` stands in, with an NMS by OpenCV's C++ in the place of its slow one, so that
it costs the other side nothing: some ten microseconds of the twenty milliseconds of a tile (`stand_in_nms_us` in the figures).
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import supervision
import torch
from sahi import AutoDetectionModel
from sahi.predict import get_sliced_prediction
from sahi.slicing import get_slice_bboxes

from benchmarks.photos import OVERLAP, TILE
from leafloop.learning.training import torchvision_shim

# Of both sides: low, for a model that learnt little, so that a photo has some hundred boxes. Below 0.1 SAHI merges in another way.
CONFIDENCE = 0.15
IOU = 0.5  # as the bundle's; Ultralytics' default of 0.7 leaves more boxes and takes no less time
BATCH = 16
PACKAGES = (
    "torch",
    "ultralytics-opencv-headless",
    "sahi",
    "supervision",
    "opencv-python-headless",
    "openvino",
    "numpy",
)

Tiles = npt.NDArray[np.uint8]


def yolo(model: str) -> Any:
    """An Ultralytics model that stays offline."""
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")
    if torchvision_shim.install():
        vars(importlib.import_module("torchvision.ops"))["nms"] = quick_nms
    with _torchvision_told():
        from ultralytics import YOLO
    return YOLO(model)


def quick_nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """What `torchvision.ops.nms` gives, by OpenCV: indices of the boxes kept, best first."""
    corners = boxes.numpy().astype(np.float64)
    corners[:, 2:] -= corners[:, :2]
    kept = cv2.dnn.NMSBoxes(corners, scores.numpy(), 0.0, iou_threshold)
    return torch.as_tensor(np.asarray(kept, np.int64))


@contextmanager
def _torchvision_told() -> Iterator[None]:
    """Ultralytics asks the installed packages for torchvision's version, not the module."""
    real = importlib.metadata.version

    def told(name: str) -> str:
        try:
            return real(name)
        except importlib.metadata.PackageNotFoundError:
            if name != "torchvision":
                raise
            return torchvision_shim.VERSION

    importlib.metadata.version = told  # type: ignore[assignment]  # its parameter has another name
    try:
        yield
    finally:
        importlib.metadata.version = real


def versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


class Usual:
    """The weights in Ultralytics' hands, and in those of the two libraries that cut photos for it."""

    def __init__(self, pt: Path) -> None:
        self._pt = str(pt)
        self._model = yolo(self._pt)
        # One model each: a change of image size sets a predictor up again, which would be counted against its user.
        self._by_size = {size: yolo(self._pt) for size in (736, TILE)}
        self._batched = yolo(self._pt)
        self._sahi = self._sahi_model()

    def one_by_one(self, tiles: Tiles, size: int) -> int:
        """`model.predict`, one tile a call: boxes found. Tiles are BGR, as OpenCV reads them and Ultralytics wants them."""
        model = self._by_size[size]
        return sum(len(self._predict(model, tile, size)[0].boxes) for tile in tiles)

    def batched(self, tiles: Tiles) -> int:
        found = self._predict(self._batched, list(tiles), TILE, batch=BATCH)
        return sum(len(one.boxes) for one in found)

    def sahi(self, photo: Path, *, batch: int = 1) -> int:
        """`get_sliced_prediction` with its own merging: boxes found. Slices alone, as with us: no second look at the whole."""
        share = OVERLAP / TILE
        result = get_sliced_prediction(
            str(photo),
            self._sahi,
            slice_height=TILE,
            slice_width=TILE,
            overlap_height_ratio=share,
            overlap_width_ratio=share,
            perform_standard_pred=False,
            batch_size=batch,
            verbose=0,
        )
        return len(result.object_prediction_list)

    def supervision(self, photo: Path, *, batch: int = 1) -> int:
        """`InferenceSlicer` with its own merging: boxes found."""

        def one(tile: Tiles) -> Any:
            return supervision.Detections.from_ultralytics(self._predict(self._model, tile, TILE)[0])

        def many(tiles: list[Tiles]) -> list[Any]:
            found = self._predict(self._model, tiles, TILE, batch=batch)
            return [supervision.Detections.from_ultralytics(result) for result in found]

        callback: Callable[..., Any] = one if batch == 1 else many
        slicer = supervision.InferenceSlicer(callback, slice_wh=TILE, overlap_wh=OVERLAP, batch_size=batch)
        return len(slicer(cv2.imread(str(photo))))

    def tiles_of(self, width: int, height: int) -> dict[str, int]:
        """How many tiles each cuts a photo into."""
        share, seen = OVERLAP / TILE, [0]

        def count(_: Tiles) -> Any:
            seen[0] += 1
            return supervision.Detections.empty()

        supervision.InferenceSlicer(count, slice_wh=TILE, overlap_wh=OVERLAP)(np.zeros((height, width, 3), np.uint8))
        slices = get_slice_bboxes(height, width, TILE, TILE, overlap_height_ratio=share, overlap_width_ratio=share)
        return {"SAHI": len(slices), "supervision": seen[0]}

    def _predict(self, model: Any, source: Any, size: int, **more: Any) -> Any:
        return model.predict(source, imgsz=size, conf=CONFIDENCE, iou=IOU, device="cpu", verbose=False, **more)

    def _sahi_model(self) -> Any:
        return AutoDetectionModel.from_pretrained(
            "ultralytics", model_path=self._pt, confidence_threshold=CONFIDENCE, device="cpu", image_size=TILE
        )
