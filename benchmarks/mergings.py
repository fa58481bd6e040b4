"""How many lesions each way of merging makes of the same tile detections. Knows no photo and no model."""

from __future__ import annotations

import supervision
from sahi.postprocess.combine import GreedyNMMPostprocess
from sahi.prediction import ObjectPrediction

from benchmarks.report import OURS
from leafloop.vision import merge, tiles
from leafloop.vision.detection import TileDetections

IOU = 0.5  # the default of all three


def ours(found: TileDetections, grid: tiles.Grid) -> int:
    return len(merge.merge(found, grid, iou=IOU))


def sahi(found: TileDetections, grid: tiles.Grid) -> int:
    """As `get_sliced_prediction` merges unless it is told otherwise."""
    given = [
        ObjectPrediction(
            bbox=box,
            category_id=class_id,
            category_name=str(class_id),
            score=score,
            shift_amount=[0, 0],
            full_shape=[grid.height, grid.width],
        )
        for box, class_id, score in zip(
            found.xyxy_px.tolist(), found.class_id.tolist(), found.confidence.tolist(), strict=True
        )
    ]
    merging = GreedyNMMPostprocess(match_threshold=IOU, match_metric="IOS", class_agnostic=False)
    return len(merging(given)) if len(given) > 1 else len(given)


def supervision_nms(found: TileDetections, _: tiles.Grid) -> int:
    """As `InferenceSlicer` merges unless it is told otherwise."""
    return len(_detections(found).with_nms(threshold=IOU))


def supervision_nmm(found: TileDetections, _: tiles.Grid) -> int:
    return len(_detections(found).with_nmm(threshold=IOU))


def _detections(found: TileDetections) -> supervision.Detections:
    return supervision.Detections(xyxy=found.xyxy_px, confidence=found.confidence, class_id=found.class_id)


COUNTS = {OURS: ours, "SAHI GREEDYNMM": sahi, "supervision NMS": supervision_nms, "supervision NMM": supervision_nmm}
