"""Is this ONNX file safe to give to an inference engine, and what does it say of itself? Parses it, never runs it.

Refused: files that reach outside themselves (external data), operators that are not plain ONNX, control flow and functions
(code hidden in attributes), tensors beyond a budget, and anything but one image in and one tensor out.
History: CVE-2022-25882, CVE-2024-27318, CVE-2024-5187, CVE-2025-51480, CVE-2026-27489 (external data read or written).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from leafloop.errors import BundleRejected

MAX_BYTES = 256 * 2**20  # the largest detectors of the YOLO families have about 270 MB; ours have 4 to 11
MAX_ELEMENTS = 2**27  # a tensor of 512 MB in float32; the largest at 256 pixels is some 0.3 million, at 1280 some 30
MAX_NODES = 20_000  # LibreYOLO's YOLOv9-t has 1,260
OLDEST_OPSET, OLDEST_IR = 9, 4  # 2019; older files have other rules for what is an input
PLAIN_DOMAINS = ("", "ai.onnx")

Shape = tuple[int | None, ...]  # None where the file leaves a side open


@dataclass(frozen=True)
class OnnxFacts:
    """What the file declares. Shapes with None for open sides; metadata is what its exporter wrote."""

    input_shape: Shape
    output_shape: Shape
    metadata: dict[str, str]


def check(data: bytes) -> OnnxFacts:
    """Check an ONNX model's bytes. Raises `BundleRejected` with the reason."""
    if len(data) > MAX_BYTES:
        raise BundleRejected(f"The ONNX model has {len(data)} bytes; at most {MAX_BYTES} are taken.")
    model = _parse(data)
    _check_whole(model)
    for node in model.graph.node:
        _check_node(node, _opset(model))
    for tensor in _tensors(model):
        _check_tensor(tensor)
    _check_by_onnx(model)
    image, answer = _only(_inputs(model), "input"), _only(list(model.graph.output), "output")
    facts = OnnxFacts(_shape(image), _shape(answer), {p.key: p.value for p in model.metadata_props})
    if len(facts.input_shape) != 4 or facts.input_shape[1] not in (3, None) or len(facts.output_shape) != 3:
        raise BundleRejected(
            f"The ONNX model takes {facts.input_shape} and gives {facts.output_shape}; a detector takes [batch, 3, height, "
            "width] and gives [batch, channels, anchors] or [batch, anchors, channels], with no NMS inside."
        )
    return facts


def _parse(data: bytes) -> ModelProto:
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError):
        raise BundleRejected("The ONNX file is cut off or is not ONNX. Export or copy it again.") from None
    if not model.graph.node:
        raise BundleRejected("The ONNX file holds no model.")
    return model


def _check_whole(model: ModelProto) -> None:
    if model.functions or model.training_info:
        raise BundleRejected("The ONNX model carries functions or training code of its own; export it for inference.")
    if model.graph.sparse_initializer:
        raise BundleRejected("The ONNX model has sparse tensors, which are not taken.")
    if model.ir_version < OLDEST_IR or len(model.graph.node) > MAX_NODES:
        raise BundleRejected(f"The ONNX model is too old (IR {model.ir_version}) or has over {MAX_NODES} nodes.")
    if foreign := sorted({o.domain for o in model.opset_import} - set(PLAIN_DOMAINS)):
        raise BundleRejected(f"The ONNX model needs operators that are not plain ONNX: {', '.join(foreign)[:200]}.")
    if not OLDEST_OPSET <= _opset(model) <= onnx.defs.onnx_opset_version():
        raise BundleRejected(f"The ONNX model needs opset {_opset(model)}; {OLDEST_OPSET} and newer are taken.")


def _opset(model: ModelProto) -> int:
    return max((o.version for o in model.opset_import), default=0)


def _check_node(node: NodeProto, opset: int) -> None:
    if node.domain not in PLAIN_DOMAINS or not onnx.defs.has(node.op_type, max_inclusive_version=opset, domain=""):
        raise BundleRejected(f"The ONNX model has an unknown operator: {node.domain or 'ai.onnx'}.{node.op_type}"[:200])
    if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
        raise BundleRejected(f"The ONNX model has a graph inside a graph ({node.op_type}); a detector needs none.")
    if any(a.type in (AttributeProto.SPARSE_TENSOR, AttributeProto.SPARSE_TENSORS) for a in node.attribute):
        raise BundleRejected("The ONNX model has sparse tensors, which are not taken.")


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    for attribute in (a for node in model.graph.node for a in node.attribute):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors


def _check_tensor(tensor: TensorProto) -> None:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise BundleRejected(
            "The ONNX model keeps tensors in other files. Export it as one file, without external data."
        )
    if any(d < 0 for d in tensor.dims) or math.prod(tensor.dims) > MAX_ELEMENTS:
        raise BundleRejected(f"The ONNX model declares a tensor of {list(tensor.dims)}, which is too large."[:200])


def _check_by_onnx(model: ModelProto) -> None:
    """ONNX's own checker, and every size that can be known before a run (one small node can ask for terabytes)."""
    try:
        onnx.checker.check_model(model)
        known = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BundleRejected(f"The ONNX model is not consistent: {reason}") from None
    for value in (*known.graph.value_info, *known.graph.input, *known.graph.output):
        if math.prod(d or 1 for d in _shape(value)) > MAX_ELEMENTS:
            raise BundleRejected(f"The ONNX model makes a tensor of {_shape(value)}, which is too large."[:200])


def _inputs(model: ModelProto) -> list[ValueInfoProto]:
    weights = {i.name for i in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in weights]


def _only(values: list[ValueInfoProto], what: str) -> ValueInfoProto:
    if len(values) != 1 or values[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        kinds = [TensorProto.DataType.Name(v.type.tensor_type.elem_type) for v in values[:8]]
        raise BundleRejected(f"The ONNX model needs exactly one {what}, in float32; it has {kinds}.")
    return values[0]


def _shape(value: ValueInfoProto) -> Shape:
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim)
