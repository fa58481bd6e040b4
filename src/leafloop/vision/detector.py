"""Runs a bundle's model over tiles and reads boxes out of its answer; knows no photo files, no seams, no verdict.

OpenVINO takes the tiles as they are (uint8, height-width-colour); scaling and channel order are part of the compiled graph.
What the manifest says of the output is probed when the model is loaded: a wrong layout would give silent rubbish.
A tile's answer depends on its pixels alone: not on its neighbours in the batch, on the order, or on how many threads ran.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import openvino as ov

from leafloop.errors import BundleRejected
from leafloop.vision.bundle import Bundle
from leafloop.vision.detection import FloatArray, IntArray, TileDetections
from leafloop.vision.tiles import Grid

BATCH = 16  # measured: within 3 % of the best batch at 256 pixels on 2 cores; 16 tiles are 3 MB
STREAMS = 2  # measured: 4 % over one stream, and one batch is read while another runs
FLOOR = 0.02  # lowest score kept: far below any detect threshold, for `vouch_healthy_below` and the debug call
MAX_CANDIDATES = 1000  # a tile before NMS, best first; a trained model gives some dozens, NMS grows with the square
MAX_BOXES = 300  # a tile after NMS: the usual limit of the YOLO family

Tiles = npt.NDArray[np.uint8]


class Detector:
    """A compiled model. Safe to call from threads: one caller at a time, the others wait."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None, precision: str = "bf16") -> None:
        """Compile and probe. Raises `BundleRejected` when the model is not what its manifest says.

        precision: "bf16" (used where the processor has it, else f32) or "f32". It is pinned both ways, because OpenVINO's
        own choice follows the processor, and answers would differ between machines unseen.
        """
        core = ov.Core()
        self.precision = precision if _has(core, precision) else "f32"
        self._output, self._size = bundle.manifest.output, bundle.manifest.input.size
        self._iou, self._classes = bundle.manifest.thresholds.iou, len(bundle.taxonomy.classes)
        self._lock = threading.Lock()
        streams = STREAMS if threads is None else min(STREAMS, threads)
        config = {"INFERENCE_PRECISION_HINT": self.precision, "PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": str(streams)}
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            model, self._batch = _prepare(core, bundle)
            compiled = core.compile_model(model, "CPU", config)
        except RuntimeError as error:
            raise BundleRejected(f"OpenVINO cannot run this model: {' '.join(str(error).split())[:300]}") from None
        self._queue = ov.AsyncInferQueue(compiled, streams)
        self._probe()

    def detect(self, tiles: Tiles, grid: Grid, index: IntArray | None = None, *, floor: float = FLOOR) -> TileDetections:
        """Find in tiles [n, size, size, 3]; `index` says which tiles of the grid they are (all, when None).

        Boxes are in photo pixels, cut to their tile and to the photo; per class, no two of a tile overlap by the bundle's iou.
        """
        at = np.arange(len(grid), dtype=np.int64) if index is None else index
        if tiles.shape != (len(at), self._size, self._size, 3) or tiles.dtype != np.uint8:
            raise ValueError(f"tiles {tiles.shape} of {tiles.dtype} are not {len(at)} of {self._size} pixels in uint8")
        found = [
            _read(raw[:count], at[start : start + count], grid, self._iou, floor)
            for start, count, raw in self._run(tiles)
        ]
        boxes, scores, classes, tile = (np.concatenate(part) for part in zip(_nothing(), *found, strict=True))
        order = np.lexsort((*boxes.T, classes, -scores, tile))
        return TileDetections(boxes[order], scores[order], classes[order], tile[order])

    def _run(self, tiles: Tiles) -> list[tuple[int, int, FloatArray]]:
        """(first tile, tiles, [batch, anchors, 4 + classes] xyxy) of each batch, in order; the last batch is filled up."""
        starts = range(0, len(tiles), self._batch)
        answers: list[FloatArray | None] = [None] * len(starts)

        def keep(request: ov.InferRequest, number: int) -> None:
            answers[number] = request.get_output_tensor(0).data.copy()

        with self._lock:
            self._queue.set_callback(keep)
            for number, start in enumerate(starts):
                batch = tiles[start : start + self._batch]
                if len(batch) < self._batch:
                    batch = np.concatenate([batch, np.zeros((self._batch - len(batch), *batch.shape[1:]), np.uint8)])
                self._queue.start_async({0: np.ascontiguousarray(batch)}, number)
            self._queue.wait_all()
        counts = (min(self._batch, len(tiles) - start) for start in starts)
        return [(s, n, self._in_order(a)) for s, n, a in zip(starts, counts, answers, strict=True) if a is not None]

    def _in_order(self, raw: FloatArray) -> FloatArray:
        """Any output that a manifest can describe -> [batch, anchors, x1 y1 x2 y2 and one score a class], a view if it can."""
        if self._output.orientation == "channels_first":
            raw = raw.transpose(0, 2, 1)
        box, scores = raw[..., :4], raw[..., 4:]
        if self._output.objectness:
            scores = scores[..., 1:] * scores[..., :1]
        if self._output.layout == "cxcywh":
            box = np.concatenate([box[..., :2] - box[..., 2:] / 2, box[..., :2] + box[..., 2:] / 2], axis=-1)
        return np.concatenate([box, scores], axis=-1)

    def _probe(self) -> None:
        """Look at the answer to noise and to plain grey: is it of the shape, range and layout that the manifest says?"""
        rng = np.random.default_rng(0)
        tiles = np.full((2, self._size, self._size, 3), 114, np.uint8)
        tiles[0] = rng.integers(0, 256, tiles[0].shape, dtype=np.uint8)
        declared = self._queue[0].model_outputs[0].partial_shape
        wide = 4 + self._output.objectness + self._classes
        side = 1 if self._output.orientation == "channels_first" else 2
        if declared.rank.get_length() != 3 or declared[side] not in (wide, ov.Dimension(wide)):
            raise BundleRejected(f"The model answers {declared}; its manifest needs {wide} values a box ({self._output}).")
        raw = np.concatenate([answer[:count] for _, count, answer in self._run(tiles)])
        _check_sane(raw, self._size, self._output.layout)


def _has(core: ov.Core, precision: str) -> bool:
    if precision not in ("bf16", "f32"):
        raise ValueError(f"precision {precision!r} is not one of bf16, f32")
    return precision == "f32" or "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _prepare(core: ov.Core, bundle: Bundle) -> tuple[ov.Model, int]:
    """Read the verified bytes (never the path: nothing beside them can be loaded) and put the pixel work into the graph."""
    given, size = bundle.manifest.input, bundle.manifest.input.size
    model = core.read_model(bundle.read("model.onnx"), b"")
    declared = model.input(0).partial_shape[0]
    batch = declared.get_length() if declared.is_static else BATCH
    model.reshape([batch, 3, size, size])
    steps = ov.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    pixels = steps.input().preprocess().convert_element_type(ov.Type.f32)
    if given.colour_order == "bgr":
        pixels.reverse_channels()
    pixels.scale(given.divide_by)
    return steps.build(), batch


def _check_sane(raw: FloatArray, size: int, layout: str) -> None:
    boxes, scores = raw[..., :4], raw[..., 4:]
    if not np.isfinite(raw).all():
        raise BundleRejected("The model answers with numbers that are not finite.")
    if scores.min() < -0.001 or scores.max() > 1.001:
        raise BundleRejected(
            f"The model's scores reach from {scores.min():.3g} to {scores.max():.3g}, and 0 to 1 is needed: export it with its "
            "sigmoid, and check 'objectness'."
        )
    if boxes.min() < -size or boxes.max() > 2 * size:
        raise BundleRejected(
            f"The model's boxes reach from {boxes.min():.0f} to {boxes.max():.0f} on an input of {size} pixels: they are not "
            f"pixels, or not {layout}."
        )
    if layout == "xyxy" and (boxes[..., 2:] < boxes[..., :2] - 1).mean() > 0.01:  # a bf16 rounding may cross by a pixel
        raise BundleRejected("The model's boxes end before they begin: they are not xyxy. Is the layout cxcywh?")
    if layout == "cxcywh":
        _check_centres(boxes, size)


def _check_centres(boxes: FloatArray, size: int) -> None:
    """xyxy read as cxcywh: 'width' is then the right edge, so it is never less than 'centre', even at the far side."""
    centre, extent = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    far = centre > size / 2
    if far.any() and (extent >= centre - 1)[far].mean() > 0.99:
        raise BundleRejected("Each of the model's boxes is as wide as its distance from the edge: the layout is xyxy.")


def _nothing() -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
    return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64)


def _read(
    answers: FloatArray, at: IntArray, grid: Grid, iou: float, floor: float
) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
    """Boxes, scores, classes and tile numbers of one batch: [tiles, anchors, 4 + classes] -> photo pixels, after NMS."""
    best = answers[..., 4:].max(axis=-1)
    parts = [_nothing()]
    for answer, top, number in zip(answers, best, at.tolist(), strict=True):
        seen = answer[top >= floor]
        if not len(seen):
            continue
        boxes, scores, classes = _in_tile(seen, grid.xyxy_px[number], grid)
        kept = _nms(boxes, scores, classes, iou)
        parts.append((boxes[kept], scores[kept], classes[kept], np.full(len(kept), number, np.int64)))
    boxes, scores, classes, tile = (np.concatenate(part) for part in zip(*parts, strict=True))
    return boxes, scores, classes, tile


def _in_tile(seen: FloatArray, rect: IntArray, grid: Grid) -> tuple[FloatArray, FloatArray, IntArray]:
    """The best candidates in photo pixels, cut to tile and photo, strongest first; ties by place, so that order is one."""
    boxes = (seen[:, :4].astype(np.float64) + np.tile(rect[:2], 2)).astype(np.float32)
    edge = np.minimum(rect[2:], [grid.width, grid.height])
    boxes = np.clip(boxes, np.tile(rect[:2], 2), np.tile(edge, 2)).astype(np.float32)
    scores, classes = np.minimum(seen[:, 4:].max(axis=1), 1), seen[:, 4:].argmax(axis=1)
    order = np.lexsort((*boxes.T, classes, -scores))
    order = order[(boxes[order, 2:] - boxes[order, :2] >= 1).all(axis=1)][:MAX_CANDIDATES]
    return boxes[order], scores[order], classes[order].astype(np.int64)


def _nms(boxes: FloatArray, scores: FloatArray, classes: IntArray, iou: float) -> IntArray:
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
