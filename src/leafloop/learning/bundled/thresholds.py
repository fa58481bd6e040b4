"""Chooses a model's thresholds from what it answered on validation photos. Knows scores and truths, not photos or models.

The rules, in the order in which they are applied (a bundle's lineage carries them as `RULES`):
detect: of the scores whose mean F1 over classes (boxes matched at an IoU of 0.5) is within 0.03 of the best, the one with
which most verdicts are right, given the two other thresholds that follow from it; of equal ones the lowest.
vouch_healthy_below: the lesion score that parts photos with and without a lesion best, while at most 2 % of those with one
stay below it; never above detect; null where there is no such score, and then health is never vouched for.
reliable: the score, at least detect, with which most verdicts are right; of equal ones the highest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leafloop.vision.detection import Detection

Floats = npt.NDArray[np.float64]

RULES = " ".join((__doc__ or "").split("\n\n", 1)[1].split())
MATCH_IOU = 0.5
GIVEN_AWAY = 0.03  # of F1, for verdicts: one false box turns a verdict, and one missed among dozens turns none
MISSED_SHARE = 0.02  # of photos with lesions, how many may be called healthy: the worst mistake that a verdict can make
CANDIDATES = np.round(np.arange(0.05, 0.905, 0.01), 2)


@dataclass(frozen=True)
class Matches:
    """Detections of many photos matched to their truth. score, class_id, right: [n]; truths: how many boxes by class id."""

    score: Floats
    class_id: npt.NDArray[np.int64]
    right: npt.NDArray[np.bool_]
    truths: npt.NDArray[np.int64]


Boxes = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]  # of one photo: class ids [n], xyxy in pixels [n, 4]


def match(found: Sequence[Sequence[Detection]], truth: Sequence[Boxes], classes: int) -> Matches:
    """Match each photo's detections, best first, to the true boxes of the same class that are not yet taken."""
    score: list[float] = []
    class_ids: list[int] = []
    right: list[bool] = []
    truths = np.zeros(classes, np.int64)
    for detections, (class_id, boxes) in zip(found, truth, strict=True):
        truths += np.bincount(class_id, minlength=classes)
        free = np.ones(len(boxes), np.bool_)
        for detection in sorted(detections, key=lambda d: -d.confidence):
            overlap = np.where(free & (class_id == detection.class_id), _iou(detection.xyxy_px, boxes), 0.0)
            best = int(overlap.argmax()) if len(overlap) else -1
            hit = best >= 0 and overlap[best] >= MATCH_IOU
            if hit:
                free[best] = False
            score.append(detection.confidence)
            class_ids.append(detection.class_id)
            right.append(bool(hit))
    return Matches(np.array(score), np.array(class_ids, np.int64), np.array(right, np.bool_), truths)


def _iou(box: tuple[float, float, float, float], boxes: npt.NDArray[np.float32]) -> Floats:
    one = np.array(box, np.float64)
    side = np.clip(np.minimum(one[2:], boxes[:, 2:]) - np.maximum(one[:2], boxes[:, :2]), 0, None)
    shared = side.prod(axis=1)
    whole = (one[2:] - one[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared
    return np.asarray(shared / np.maximum(whole, 1e-9), np.float64)


def good_for_boxes(matches: Matches) -> list[float]:
    """The scores at which the boxes are as good as at the best one, or nearly."""
    values = [mean_f1(matches, float(threshold)) for threshold in CANDIDATES]
    return [float(c) for c, value in zip(CANDIDATES, values, strict=True) if value >= max(values) - GIVEN_AWAY]


def mean_f1(matches: Matches, threshold: float) -> float:
    kept = matches.score >= threshold
    values = []
    for class_id in np.flatnonzero(matches.truths):
        mine = kept & (matches.class_id == class_id)
        values.append(2 * (mine & matches.right).sum() / (mine.sum() + matches.truths[class_id]))
    return float(np.mean(values)) if values else 0.0


def vouch_healthy_below(with_lesion: Floats, without: Floats, detect: float) -> float | None:
    """From the largest lesion score of each photo [n]. None when no score keeps the missed share."""
    if len(with_lesion) == 0 or len(without) == 0:
        return None
    points = [float(p) for p in CANDIDATES if p <= detect]
    allowed = [p for p in points if (with_lesion < p).mean() <= MISSED_SHARE]
    if not allowed:
        return None
    return float(max(allowed, key=lambda p: ((without < p).mean() - (with_lesion < p).mean(), -p)))


def reliable(verdicts_right: Callable[[float], int], detect: float) -> float:
    """From a function that says how many verdicts are right with a given `reliable`."""
    return float(max((float(c) for c in CANDIDATES if c >= detect), key=lambda score: (verdicts_right(score), score)))
