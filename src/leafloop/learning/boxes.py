"""Boxes that a person or a file brings: of a known class, in pixels of the upright photo, inside it. Knows no row and no label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from leafloop.errors import RequestInvalid
from leafloop.learning.classes import find_class
from leafloop.taxonomy import Taxonomy

MAX_BOXES = 1000  # a leaf of the last stage has a few hundred lesions; more are a mistake or an attack
SLACK_PX = 0.5  # how far an edge may lie outside: browsers and formats round to half a pixel; it is then set to the photo's edge
MIN_SIDE_PX = 1.0  # less is no place on a photo: a tap that was no drag, or a scale that was forgotten
EDGES = ("x1", "y1", "x2", "y2")

Box = dict[str, Any]


def check_boxes(boxes: object, taxonomy: Taxonomy, width: int, height: int, *, field: str = "boxes") -> list[Box]:
    """The boxes in their one form, `{class_id, class_name, bbox{x1, y1, x2, y2}}`, clipped to the photo, in the given order.

    Raises `RequestInvalid` naming the box: not finite, empty, outside the photo, of no class or an unknown one, too many.
    """
    if not isinstance(boxes, Sequence) or isinstance(boxes, str | bytes):
        raise RequestInvalid(f"{field} is a list of boxes; an empty one says that nothing is there.", field=field)
    if len(boxes) > MAX_BOXES:
        raise RequestInvalid(f"{field} has {len(boxes)} boxes; {MAX_BOXES} at most are taken.", field=field)
    return [_checked(box, taxonomy, width, height, f"{field}[{number}]") for number, box in enumerate(boxes)]


def _checked(box: object, taxonomy: Taxonomy, width: int, height: int, where: str) -> Box:
    if not isinstance(box, Mapping) or not isinstance(box.get("bbox"), Mapping):
        raise RequestInvalid(f"{where} has another form than {{class_name, bbox{{x1, y1, x2, y2}}}}.", field=where)
    class_id = find_class(taxonomy, box.get("class_name"), box.get("class_id"), field=where)
    if class_id is None:
        raise RequestInvalid(f"{where} has no class. Give class_name or class_id.", field=where)
    x1, y1, x2, y2 = (_number(box["bbox"].get(edge), f"{where}.bbox.{edge}") for edge in EDGES)
    if min(x1, y1) < -SLACK_PX or x2 > width + SLACK_PX or y2 > height + SLACK_PX:
        raise RequestInvalid(
            f"{where} reaches outside the photo of {width} x {height} pixels. Edges are pixels of the upright photo.",
            field=where,
        )
    x1, y1, x2, y2 = max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2)
    if min(x2 - x1, y2 - y1) < MIN_SIDE_PX:
        raise RequestInvalid(f"{where} is empty: x1 < x2 and y1 < y2, and a pixel at least a side.", field=where)
    edges = dict(zip(EDGES, (x1, y1, x2, y2), strict=True))
    return {"class_id": class_id, "class_name": taxonomy.class_names[class_id], "bbox": edges}


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestInvalid(f"{where} is not a number.", field=where)
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise RequestInvalid(f"{where} is not a finite number.", field=where)
    return number
