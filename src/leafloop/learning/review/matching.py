"""How far two people's boxes are the same: matched one to one by overlap, of one class. Knows nobody's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

IOU = 0.5  # intersection over union from which two boxes are one lesion (Everingham et al. 2010, PASCAL VOC)
Boxes = Sequence[Mapping[str, Any]]


def f1(ours: Boxes, theirs: Boxes) -> float:
    """2 m / (a + b) of a and b boxes with m matched pairs: 1.0 where both have none, 0.0 where one alone has some."""
    if not ours and not theirs:
        return 1.0
    return 2 * matched(ours, theirs) / (len(ours) + len(theirs))


def matched(ours: Boxes, theirs: Boxes) -> int:
    """How many pairs of one class overlap by `IOU` at least, each box in one pair, as many pairs as there can be (Kuhn 1955)."""
    if not ours or not theirs:
        return 0
    from scipy.optimize import linear_sum_assignment  # half a second, which no start of a command should wait for

    alike = (_overlaps(_edges(ours), _edges(theirs)) >= IOU) & (_classes(ours)[:, None] == _classes(theirs)[None, :])
    rows, columns = linear_sum_assignment(alike, maximize=True)
    return int(alike[rows, columns].sum())


def _edges(boxes: Boxes) -> npt.NDArray[np.float64]:
    return np.array([[box["bbox"][edge] for edge in ("x1", "y1", "x2", "y2")] for box in boxes], np.float64)


def _classes(boxes: Boxes) -> npt.NDArray[np.int64]:
    return np.array([box["class_id"] for box in boxes], np.int64)


def _overlaps(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of each pair: [len(a), len(b)]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    return np.asarray(common / (areas[0][:, None] + areas[1][None, :] - common), np.float64)
