"""What the processor could do at most, and what the model asks of it: floating-point operations, 2 for a multiply and add.

The most is measured, not read off a data sheet: chains of 3x3 convolutions, the work that processors are tuned for, compiled as
the detector is (same runtime, precision, streams). The best of a few sizes counts. Knows no photo.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

from leafloop.vision.bundle import Bundle
from leafloop.vision.detector import STREAMS

DEPTH = 10  # convolutions in a row, so that what happens at both ends weighs little
SIZES = ((256, 16, 16), (256, 32, 4), (128, 32, 4))  # channels, side in pixels, batch
TURNS = 4  # times a stream runs the chain in one turn


def flops(model: ov.Model) -> int:
    """Of one run of a model whose shapes are fixed: convolutions and matrix products, which are all but one in a hundred."""
    return sum(_flops_of(node) for node in model.get_ops())


def flops_of_bundle(bundle: Bundle) -> int:
    """Of one tile."""
    model = ov.Core().read_model(bundle.read("model.onnx"), b"")
    size = bundle.manifest.input.size
    model.reshape([1, 3, size, size])
    return flops(model)


def _flops_of(node: Any) -> int:
    kind = node.get_type_name()
    if kind in ("Convolution", "GroupConvolution"):
        *_, channels, high, wide = node.input(1).get_shape()  # of the weights; channels are those of one group
        return int(2 * math.prod(node.output(0).get_shape()) * channels * high * wide)
    if kind == "ConvolutionBackpropData":
        _, channels, high, wide = node.input(1).get_shape()
        return int(2 * math.prod(node.input(0).get_shape()) * channels * high * wide)
    if kind == "MatMul":
        shape = node.input(0).get_shape()
        shared = shape[-2] if node.get_attributes()["transpose_a"] else shape[-1]
        return int(2 * math.prod(node.output(0).get_shape()) * shared)
    return 0


def chain(channels: int, side: int, batch: int, depth: int = DEPTH) -> ov.Model:
    """`depth` convolutions of 3x3 that keep channels and side."""
    rng = np.random.default_rng(0)
    value = image = op.parameter([batch, channels, side, side], np.float32)
    for _ in range(depth):
        weights = rng.standard_normal((channels, channels, 3, 3)).astype(np.float32) / math.sqrt(9 * channels)
        value = op.convolution(value, op.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1])
    return ov.Model([value], [image], "chain")


class Chain:
    """A chain at work, and how many operations one turn has."""

    def __init__(self, channels: int, side: int, batch: int, precision: str) -> None:
        model = chain(channels, side, batch)
        self.name = f"{channels} channels, {side}x{side}, batch {batch}"
        self.flops = flops(model) * STREAMS * TURNS
        self._run = _streams(model, precision)

    def run(self) -> None:
        self._run(STREAMS * TURNS)


class Network:
    """The bundle's bare network over noise, without pixels, boxes or NMS: what the runtime alone makes of it."""

    BATCHES = 8

    def __init__(self, bundle: Bundle, precision: str, batch: int = 16) -> None:
        model = ov.Core().read_model(bundle.read("model.onnx"), b"")
        size = bundle.manifest.input.size
        model.reshape([batch, 3, size, size])
        self.tiles = batch * self.BATCHES
        self._run = _streams(model, precision)

    def run(self) -> None:
        self._run(self.BATCHES)


def _streams(model: ov.Model, precision: str) -> Callable[[int], None]:
    config = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": str(STREAMS),
    }
    queue = ov.AsyncInferQueue(ov.Core().compile_model(model, "CPU", config), STREAMS)
    shape = tuple(model.input(0).get_shape())
    noise = np.random.default_rng(0).random(shape, np.float32)

    def run(times: int) -> None:
        for _ in range(times):
            queue.start_async({0: noise}, share_inputs=True)
        queue.wait_all()

    return run
