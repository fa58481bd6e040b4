"""Somebody's `model.onnx` becomes a bundle: what the file says of itself is taken, what is measured is checked, nothing is guessed.

Colour order, scale and box layout cannot be seen in a file of plain ONNX, and a wrong one gives silent rubbish. They come from
the caller, or from the metadata of the exporters whose layout is known; where neither speaks, the import is refused.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from leafloop.errors import BundleRejected
from leafloop.taxonomy import Taxonomy
from leafloop.vision import onnx_check
from leafloop.vision.bundle import Bundle, write_bundle
from leafloop.vision.detector import Detector, output_sides

MAX_NAMES_CHARACTERS = 100_000  # a thousand class names; beyond it `literal_eval` is not asked
THRESHOLDS = {
    "detect": 0.25,
    "iou": 0.5,
    "reliable": 0.5,
    "vouch_healthy_below": None,
}  # nobody has shown that it may vouch


@dataclass(frozen=True)
class _Told:
    """How a family's ONNX is to be read."""

    layout: str
    colour_order: str
    divide_by: float
    objectness: bool


# Read in the sources and checked on exports of these versions: Ultralytics 8.4.190, LibreYOLO 1.6.0.
ULTRALYTICS = _Told("cxcywh", "rgb", 255.0, objectness=False)
LIBREYOLO = {
    "yolo9": _Told("xyxy", "rgb", 255.0, objectness=False),
    "yolox": _Told("cxcywh", "bgr", 1.0, objectness=True),
}
OPTIONS = {"layout": "xyxy or cxcywh", "colour_order": "rgb or bgr", "divide_by": "255 or 1", "objectness": "yes or no"}


def from_onnx(
    onnx_path: Path,
    taxonomy: Taxonomy,
    folder: Path,
    *,
    name: str | None = None,
    size: int | None = None,
    layout: str | None = None,
    colour_order: str | None = None,
    divide_by: float | None = None,
    objectness: bool | None = None,
    tiling: str = "tiles",
    overlap: int = 32,
    licence: str = "LicenseRef-unknown",
) -> Bundle:
    """Check, describe, probe and seal an ONNX model; the bundle is written to `folder`. What is given wins over metadata.

    Raises `BundleRejected` when the file is unsafe, its classes are not the taxonomy's, or something stays unknown.
    """
    data = _bytes(onnx_path)
    facts = onnx_check.check(data)
    _check_classes(facts.metadata, taxonomy)
    given = {"layout": layout, "colour_order": colour_order, "divide_by": divide_by, "objectness": objectness}
    told = _told(given, facts.metadata)
    side = size or _size(facts)
    manifest = {
        "name": name or re.sub(r"[^A-Za-z0-9._-]+", "-", onnx_path.stem).strip("-.")[:64] or "imported",
        "created_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "licence": licence,
        "taxonomy": taxonomy.as_dict(),
        "input": {"size": side, "colour_order": told["colour_order"], "divide_by": float(told["divide_by"])},
        "output": {
            "layout": told["layout"],
            "objectness": told["objectness"],
            "orientation": _orientation(output_sides(data, side), 4 + told["objectness"] + len(taxonomy.classes)),
        },
        "tiling": {"mode": tiling, "overlap": overlap if tiling == "tiles" else 0},
        "thresholds": THRESHOLDS,
        "metrics": {},
        "lineage": {
            "imported_from": onnx_path.name,
            "onnx_metadata": {k[:100]: v[:1000] for k, v in facts.metadata.items()},
        },
        "selftest": None,
    }
    bundle = write_bundle(folder, manifest, {"model.onnx": data})
    Detector(bundle, precision="f32")  # compiles and probes; raises what is wrong
    return bundle


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(onnx_check.MAX_BYTES + 1)
    except OSError as error:
        raise BundleRejected(f"{path} cannot be read: {error.strerror}.") from None


def _told(given: dict[str, Any], metadata: dict[str, str]) -> dict[str, Any]:
    family = _family(metadata)
    told = {key: value if value is not None else getattr(family, key, None) for key, value in given.items()}
    if missing := [f"--{key.replace('_', '-')} ({OPTIONS[key]})" for key, value in told.items() if value is None]:
        raise BundleRejected(
            "The ONNX file does not say how it is to be read, and this cannot be seen from outside. Pass what the exporter's "
            f"documentation says: {', '.join(missing)}."
        )
    return told


def _family(metadata: dict[str, str]) -> _Told | None:
    if metadata.get("task", "detect") != "detect":
        raise BundleRejected(f"The ONNX model is made for '{metadata['task'][:32]}'; a detector is needed.")
    if metadata.get("end2end", "").lower() == "true":
        raise BundleRejected("The ONNX model has its NMS inside. Export it with end2end=False (nms=False).")
    if "libreyolo_version" in metadata:
        return LIBREYOLO.get(metadata.get("model_family", ""))
    return ULTRALYTICS if metadata.get("author") == "Ultralytics" else None


def _check_classes(metadata: dict[str, str], taxonomy: Taxonomy) -> None:
    """The class names of the file against those of the taxonomy: by name and order. Files without names pass on their number."""
    names = _names(metadata.get("names"))
    if names is not None and names != taxonomy.class_names:
        raise BundleRejected(
            f"The model's classes are {', '.join(names)[:300]}; those of {taxonomy.name} are {', '.join(taxonomy.class_names)}. "
            "Names and order have to be equal: pass the taxonomy that the model was trained for."
        )


def _names(text: str | None) -> tuple[str, ...] | None:
    """`{"0": "a"}` (JSON, LibreYOLO) or `{0: 'a'}` (a Python literal, Ultralytics) -> names in order of their ids."""
    if text is None or len(text) > MAX_NAMES_CHARACTERS:
        return None
    try:
        found = json.loads(text) if text.startswith('{"') else ast.literal_eval(text)
        return tuple(str(found[key]) for key in sorted(found, key=int))
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        raise BundleRejected(f"The ONNX file's class names cannot be read: {text[:100]}") from None


def _size(facts: onnx_check.OnnxFacts) -> int:
    """The input's side in pixels: fixed in the graph, or in the metadata as `256` or `[256, 256]`."""
    sides = [side for side in facts.input_shape[2:] if side]
    sides = sides or [int(side) for side in re.findall(r"\d{1,5}", facts.metadata.get("imgsz", ""))]
    if not sides:
        raise BundleRejected("The ONNX file leaves its input size open. Pass --size (pixels).")
    if len(set(sides)) > 1:
        raise BundleRejected(f"The ONNX model takes {sides} pixels; a square is needed.")
    return sides[0]


def _orientation(sides: tuple[int, int], wide: int) -> str:
    """On which side of the output the values of one box stand: it has `wide` of them, and far more boxes."""
    if sides.count(wide) != 1:
        raise BundleRejected(
            f"The model gives {sides[0]} x {sides[1]} values, and one side has to be {wide}: 4 of the box, objectness if there is "
            "any, and one a class. Check the taxonomy and --objectness, and export it without NMS."
        )
    return "channels_first" if sides[0] == wide else "anchors_first"
