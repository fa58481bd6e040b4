"""Real detectors of a few kilobytes, for tests: they find solid rectangles of saturated colour, by arithmetic alone.

Class `k` is the colour `COLOURS[k]`; a pixel's score is 1 at that colour and falls to 0 at a distance of a quarter of the
range in its worst channel. Anchors stand every 4 pixels; the box of an anchor reaches, along its row and its column, to the
nearest pixel that has no class. So a rectangle gets its exact box, and what a tile's edge cuts off is cut off.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from leafloop import taxonomy
from leafloop.vision import bundle

BANANA = taxonomy.load()
COLOURS = ((0, 255, 0), (255, 0, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255), (0, 0, 0))
LEAF = (110, 140, 80)  # a dull green of no class: more than a quarter of the range away from each colour
STRIDE = 4


class _Graph:
    """Nodes and constants under construction; each call gives the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def __call__(self, op: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def running_max(self, values: str, axis: int, size: int, *, backwards: bool) -> str:
        """The largest value up to here along an axis, by shifts of 1, 2, 4, ... pixels."""
        step = 1
        while step < size:
            pads = [0] * 8
            pads[axis + (4 if backwards else 0)] = step
            start, end = (step, size + step) if backwards else (0, size)
            padded = self("Pad", values, self.const(pads, np.int64))
            ends = (self.const([v], np.int64) for v in (start, end, axis))
            values = self("Max", values, self("Slice", padded, *ends))
            step *= 2
        return values


def _edges(g: _Graph, free: str, size: int) -> list[str]:
    """x1, y1, x2, y2 at each pixel, [b, 1, size, size]; an empty box where the pixel has no class."""
    ramp = np.arange(size, dtype=np.float32)
    found = []
    for axis, shape in ((3, (1, 1, 1, size)), (2, (1, 1, size, 1))):
        before = g.running_max(g("Mul", free, g.const((ramp + 1).reshape(shape))), axis, size, backwards=False)
        after = g.running_max(g("Mul", free, g.const((size - ramp).reshape(shape))), axis, size, backwards=True)
        found.append((g("Sub", before, free), g("Sub", g.const(float(size)), after)))
    (x1, x2), (y1, y2) = found
    return [x1, y1, x2, y2]


def detector(
    *,
    size: int = 256,
    classes: int = 7,
    layout: str = "xyxy",
    objectness: bool = False,
    orientation: str = "channels_first",
    colour_order: str = "rgb",
    divide_by: float = 255.0,
    batch: int | str = "batch",
    metadata: dict[str, str] | None = None,
) -> bytes:
    """An ONNX model's bytes. Every way in which real exports differ is a parameter."""
    g = _Graph()
    colours = np.array(COLOURS[:classes], np.float32)[:, :: -1 if colour_order == "bgr" else 1] / 255
    pixel = g("Mul", "image", g.const(divide_by / 255))
    apart = g(
        "Abs", g("Sub", g("Unsqueeze", pixel, g.const([1], np.int64)), g.const(colours.reshape(1, classes, 3, 1, 1)))
    )
    score = g("Relu", g("Sub", g.const(1.0), g("Mul", g.const(4.0), g("ReduceMax", apart, axes=[2], keepdims=0))))
    classed = g("ReduceMax", score, axes=[1], keepdims=1)
    free = g("Cast", g("Less", classed, g.const(0.01)), to=TensorProto.FLOAT)
    box = _edges(g, free, size)
    if layout == "cxcywh":
        half = g.const(0.5)
        centres = [g("Mul", g("Add", a, b), half) for a, b in (box[::2], box[1::2])]
        box = [*centres, g("Sub", box[2], box[0]), g("Sub", box[3], box[1])]
    channels = [*box, *([g("Sub", g.const(1.0), free)] if objectness else []), score]
    joined = g("Concat", *channels, axis=1)
    start, end, steps = (g.const([v, v], np.int64) for v in (STRIDE // 2, size, STRIDE))
    anchors = g("Slice", joined, start, end, g.const([2, 3], np.int64), steps)
    wide = 4 + objectness + classes
    flat = g("Reshape", anchors, g.const([0, wide, -1], np.int64))
    g("Transpose", flat, out="output", perm=[0, 1, 2] if orientation == "channels_first" else [0, 2, 1])
    count = (size // STRIDE) ** 2
    shape = [wide, count] if orientation == "channels_first" else [count, wide]
    graph = helper.make_graph(
        g.nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, *shape])],
        g.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    return model.SerializeToString()


def facts(**changes: Any) -> dict[str, Any]:
    """A manifest's facts for the tiny detector; each keyword replaces (or, for dicts, changes) one."""
    plain: dict[str, Any] = {
        "name": "tiny",
        "created_at": "2026-01-02T03:04:05Z",
        "licence": "Apache-2.0",
        "taxonomy": BANANA.as_dict(),
        "input": {"size": 256, "colour_order": "rgb", "divide_by": 255.0},
        "output": {"layout": "xyxy", "objectness": False, "orientation": "channels_first"},
        "tiling": {"mode": "tiles", "overlap": 32},
        "thresholds": {"detect": 0.25, "iou": 0.5, "reliable": 0.5, "vouch_healthy_below": 0.1},
        "metrics": {},
        "lineage": {},
        "selftest": None,
    }
    for key, value in changes.items():
        plain[key] = {**plain[key], **value} if isinstance(plain[key], dict) and isinstance(value, dict) else value
    return json.loads(json.dumps(plain))


def tiny_bundle(folder: Path, files: dict[str, bytes] | None = None, **changes: Any) -> bundle.Bundle:
    """Write and open a bundle with a tiny detector that does what its manifest says."""
    told = facts(**changes)
    model = detector(
        size=told["input"]["size"],
        classes=len(told["taxonomy"]["classes"]),
        colour_order=told["input"]["colour_order"],
        divide_by=told["input"]["divide_by"],
        **told["output"],
    )
    return bundle.write_bundle(folder, told, {"model.onnx": model, **(files or {})})


def photo(width: int, height: int, *blobs: tuple[int, tuple[int, int, int, int]], fade: int = 0) -> np.ndarray:
    """Rectangles of class colours on leaf: uint8 [height, width, 3]. `fade` lowers their scores by 4/255 each."""
    grain = np.random.default_rng(0).integers(-12, 13, (height, width, 1))  # a photo of real leaf is never flat
    pixels = (np.array(LEAF) + grain).astype(np.uint8)
    for class_id, (x1, y1, x2, y2) in blobs:
        colour = np.array(COLOURS[class_id], np.int64)
        pixels[y1:y2, x1:x2] = np.where(colour > 127, colour - fade, colour + fade)
    return pixels
