"""Runs a bundle's model over tiles and reads boxes out of its answer; knows no photo files, no seams, no verdict.

OpenVINO takes the tiles as they are (uint8, height-width-colour); scaling and channel order are part of the compiled graph.
What the manifest says of the output is probed when the model is loaded: a wrong layout would give silent rubbish.
A tile's answer depends on its pixels alone: not on its neighbours in the batch, on the order, or on how many threads ran.
"""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino as ov

from leafloop.errors import BundleRejected
from leafloop.vision.batches import Batches, Tiles
from leafloop.vision.bundle import Bundle
from leafloop.vision.detection import FloatArray, IntArray, TileDetections
from leafloop.vision.tiles import Grid

# Measured at 256 pixels on 2 cores, tiles/s with 2 streams: 284 in batches of 1, 303 of 4, 313 of 16. A batch is filled up, so
# 16 would waste more than it gains: 6 tiles of a photo on average, and most of the time of a small photo.
BATCH = 4
STREAMS = 2  # measured: 4 % over one stream, and one batch is read while the other runs
# A full machine must still say at once that it is full, or well. Measured under 16 callers of 12-megapixel photos: /health at p99
# 21 ms and at most 54 ms without it, 14 ms and 19 ms with it; as many photos answered.
NICENESS = 10
FLOOR = 0.05  # lowest score kept: far below any detect threshold, yet above the noise of a trained model on plain leaf
MAX_CANDIDATES = 1000  # a tile before NMS, best first; a trained model gives some dozens, NMS grows with the square
# How far a box can reach from its anchor: YOLO's heads count up to 15 strides of up to 64 pixels, whatever the input's size.
REACH_PX = 15 * 64
MAX_BOXES = 300  # a tile after NMS: the usual limit of the YOLO family


class Detector:
    """A compiled model. Safe to call from threads: the tiles of all callers share its batches."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None, precision: str = "bf16") -> None:
        """Compile and probe. Raises `BundleRejected` when the model is not what its manifest says.

        precision: "bf16" (used where the processor has it, else f32) or "f32". It is pinned both ways, because OpenVINO's
        own choice follows the processor, and answers would differ between machines unseen.
        """
        core = ov.Core()
        self.precision = precision if _has(core, precision) else "f32"
        self._output, self._size = bundle.manifest.output, bundle.manifest.input.size
        self._xyxy = self._output.layout == "xyxy"
        self._iou, self._classes = bundle.manifest.thresholds.iou, len(bundle.taxonomy.classes)
        streams = STREAMS if threads is None else min(STREAMS, threads)
        config = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": str(streams),
        }
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            model, batch = _prepare(core, bundle)
            compiled = _compiled(core, model, config)
        except RuntimeError as error:
            raise BundleRejected(f"OpenVINO cannot run this model: {' '.join(str(error).split())[:300]}") from None
        self._batches = Batches(compiled, batch, streams)
        self._probe(tuple(compiled.output(0).shape)[1:])

    def detect(
        self, tiles: Tiles, grid: Grid, index: IntArray | None = None, *, floor: float = FLOOR
    ) -> TileDetections:
        """Find in tiles [n, size, size, 3]; `index` says which tiles of the grid they are (all, when None).

        Boxes are in photo pixels, cut to their tile and to the photo; per class, no two of a tile overlap by the bundle's iou.
        """
        at = np.arange(len(grid), dtype=np.int64) if index is None else index
        if tiles.shape != (len(at), self._size, self._size, 3) or tiles.dtype != np.uint8:
            raise ValueError(f"tiles {tiles.shape} of {tiles.dtype} are not {len(at)} of {self._size} pixels in uint8")
        found = [
            _read(*self._views(raw), at[start : start + len(raw)], grid, self._xyxy, self._iou, floor)
            for start, raw in self._batches.run(tiles)
        ]
        boxes, scores, classes, tile = (np.concatenate(part) for part in zip(_nothing(), *found, strict=True))
        order = np.lexsort((*boxes.T, classes, -scores, tile))
        return TileDetections(boxes[order], scores[order], classes[order], tile[order])

    def _views(self, raw: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Any output that a manifest can describe -> boxes [tiles, anchors, 4] as the model gives them, and a score a class."""
        if self._output.orientation == "channels_first":
            raw = raw.transpose(0, 2, 1)
        if self._output.objectness:
            return raw[..., :4], raw[..., 5:] * raw[..., 4:5]
        return raw[..., :4], raw[..., 4:]

    def _probe(self, sides: tuple[int, ...]) -> None:
        """Look at the answer to noise and to plain grey: is it of the shape, range and layout that the manifest says?"""
        rng = np.random.default_rng(0)
        tiles = np.full((2, self._size, self._size, 3), 114, np.uint8)
        tiles[0] = rng.integers(0, 256, tiles[0].shape, dtype=np.uint8)
        wide = 4 + self._output.objectness + self._classes
        if len(sides) != 2 or sides[0 if self._output.orientation == "channels_first" else 1] != wide:
            raise BundleRejected(
                f"The model gives {sides} values where its manifest needs {wide} a box ({self._output})."
            )
        boxes, scores = self._views(np.concatenate([raw for _, raw in self._batches.run(tiles)]))
        _check_sane(boxes, scores, self._size, self._output.layout)


def _compiled(core: ov.Core, model: ov.Model, config: dict[str, str]) -> ov.CompiledModel:
    """Compile in a thread that yields to others: OpenVINO's own threads, which do all the work, come to be as it is."""

    def compile_niced() -> ov.CompiledModel:
        with contextlib.suppress(OSError):  # elsewhere than on Linux a thread may have no priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        return core.compile_model(model, "CPU", config)

    with ThreadPoolExecutor(1) as one:
        return one.submit(compile_niced).result()


def output_sides(data: bytes, size: int) -> tuple[int, int]:
    """The two sides of a checked ONNX model's output [batch, ., .] for images of `size`. Raises `BundleRejected`."""
    try:
        model = ov.Core().read_model(data, b"")
        model.reshape([1, 3, size, size])
        _, first, second = model.output(0).shape
    except (RuntimeError, ValueError) as error:
        raise BundleRejected(f"OpenVINO cannot read this model: {' '.join(str(error).split())[:300]}") from None
    return int(first), int(second)


def _has(core: ov.Core, precision: str) -> bool:
    if precision not in ("bf16", "f32"):
        raise ValueError(f"precision {precision!r} is not one of bf16, f32")
    return precision == "f32" or "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _prepare(core: ov.Core, bundle: Bundle) -> tuple[ov.Model, int]:
    """Read the verified bytes (never the path: nothing beside them can be loaded) and put the pixel work into the graph."""
    given, size = bundle.manifest.input, bundle.manifest.input.size
    model = core.read_model(bundle.read("model.onnx"), b"")
    declared = model.input(0).partial_shape[0]
    usual = BATCH if bundle.manifest.tiling.mode == "tiles" else 1
    batch = declared.get_length() if declared.is_static else usual
    model.reshape([batch, 3, size, size])
    steps = ov.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    pixels = steps.input().preprocess().convert_element_type(ov.Type.f32)
    if given.colour_order == "bgr":
        pixels.reverse_channels()
    pixels.scale(given.divide_by)
    return steps.build(), batch


def _check_sane(given: FloatArray, scores: FloatArray, size: int, layout: str) -> None:
    if not (np.isfinite(given).all() and np.isfinite(scores).all()):
        raise BundleRejected("The model answers with numbers that are not finite.")
    if scores.min() < -0.001 or scores.max() > 1.001:
        raise BundleRejected(
            f"The model's scores reach from {scores.min():.3g} to {scores.max():.3g}, and 0 to 1 is needed: export it with its "
            "sigmoid, and check 'objectness'."
        )
    boxes = _corners(given) if layout == "cxcywh" else given
    if boxes.min() < -REACH_PX or boxes.max() > size + REACH_PX:
        raise BundleRejected(
            f"The model's boxes reach from {boxes.min():.0f} to {boxes.max():.0f} on an input of {size} pixels: they are not "
            f"pixels, or not {layout}."
        )
    if layout == "xyxy" and (boxes[..., 2:] < boxes[..., :2] - 1).mean() > 0.01:  # a bf16 rounding may cross by a pixel
        raise BundleRejected("The model's boxes end before they begin: they are not xyxy. Is the layout cxcywh?")
    if layout == "cxcywh":
        _check_centres(given, size)


def _check_centres(given: FloatArray, size: int) -> None:
    """xyxy read as cxcywh: 'width' is then the right edge, so it is never less than 'centre', even at the far side."""
    centre, extent = given[..., :2], given[..., 2:]
    far = centre > size / 2
    if far.any() and (extent >= centre - 1)[far].mean() > 0.99:
        raise BundleRejected("Each of the model's boxes is as wide as its distance from the edge: the layout is xyxy.")


def _nothing() -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
    return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64)


def _corners(given: FloatArray) -> FloatArray:
    """Centre, width, height -> x1, y1, x2, y2."""
    half = given[..., 2:] / 2
    return np.concatenate([given[..., :2] - half, given[..., :2] + half], axis=-1)


def _read(
    given: FloatArray, scores: FloatArray, at: IntArray, grid: Grid, is_xyxy: bool, iou: float, floor: float
) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
    """One batch, boxes [tiles, anchors, 4] and scores [tiles, anchors, classes] -> what is left after NMS, in photo pixels."""
    parts = [_nothing()]
    tiles, anchors = np.nonzero(scores.max(axis=-1) >= floor)
    for k in np.unique(tiles).tolist():
        seen = anchors[tiles == k]
        box = given[k, seen] if is_xyxy else _corners(given[k, seen])
        boxes, best, classes = _in_tile(box, scores[k, seen], grid.xyxy_px[at[k]], grid)
        kept = _nms(boxes, classes, iou)
        parts.append((boxes[kept], best[kept], classes[kept], np.full(len(kept), at[k], np.int64)))
    boxes, best, classes, tile = (np.concatenate(part) for part in zip(*parts, strict=True))
    return boxes, best, classes, tile


def _in_tile(
    box: FloatArray, scores: FloatArray, rect: IntArray, grid: Grid
) -> tuple[FloatArray, FloatArray, IntArray]:
    """The best candidates in photo pixels, cut to tile and photo, strongest first; ties by place, so that order is one."""
    edge = np.minimum(rect[2:], [grid.width, grid.height])
    boxes = np.clip(box + np.tile(rect[:2], 2), np.tile(rect[:2], 2), np.tile(edge, 2)).astype(np.float32)
    best, classes = np.minimum(scores.max(axis=1), 1), scores.argmax(axis=1).astype(np.int64)
    order = np.lexsort((*boxes.T, classes, -best))
    order = order[(boxes[order, 2:] - boxes[order, :2] >= 1).all(axis=1)][:MAX_CANDIDATES]
    return boxes[order], best[order], classes[order]


def _nms(boxes: FloatArray, classes: IntArray, iou: float) -> IntArray:
    """Greedy NMS per class over boxes that come strongest first: places of those kept."""
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    alive = np.ones(len(boxes), np.bool_)
    kept: list[int] = []
    for i in range(len(boxes)):
        if not alive[i]:
            continue
        kept.append(i)
        if len(kept) == MAX_BOXES:
            break
        rest = boxes[i + 1 :]
        sides = np.minimum(boxes[i, 2:], rest[:, 2:]) - np.maximum(boxes[i, :2], rest[:, :2])
        shared = np.maximum(sides, 0).prod(axis=1)
        same = (shared >= iou * (area[i] + area[i + 1 :] - shared)) & (classes[i + 1 :] == classes[i])
        alive[i + 1 :] &= ~same
    return np.array(kept, np.int64)
