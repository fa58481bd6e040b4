"""What is said about a photo: the body of `POST /predict` and of its debug call, out of a reading. Stores and judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leafloop.live.serving import Live
from leafloop.storage.tables import new_id
from leafloop.vision.detection import Detection
from leafloop.vision.photo import Photo
from leafloop.vision.quality import Quality
from leafloop.vision.reader import Reading

Body = dict[str, Any]
SCORE_DIGITS = 4  # finer than any model is sure of, and the same number on every machine
BOX_DIGITS = 1  # a tenth of a pixel: a box is right to one or two pixels


def predict_body(live: Live, photo: Photo, reading: Reading, user_id: str | None, timings_ms: dict[str, float]) -> Body:
    """The whole answer (its schema is at `/docs`), plain data in the order in which a person reads it."""
    verdict = reading.verdict
    return {
        "success": True,
        "prediction_id": new_id(),
        "user_id": user_id,
        "image_size": {"width": photo.width, "height": photo.height},
        "class_id": verdict.class_id,
        "class_name": verdict.class_name,
        "confidence": _score(verdict.confidence),
        "reliable": verdict.reliable,
        "outcome": verdict.outcome,
        "advice": verdict.advice,
        "quality": _quality(photo, reading.quality),
        "detections": _detections(live, reading.detections),
        "model": {"name": live.name, "version": live.version, "bundle": live.bundle_hash},
        "timings_ms": timings_ms,
    }


def debug_body(live: Live, reading: Reading) -> Body:
    """Everything that the model sees, strongest first, with the surest of each class: the older system's keys."""
    seen = _detections(live, reading.detections)
    surest: dict[str, float] = {}
    for found in seen:
        surest.setdefault(found["class_name"], found["confidence"])
    return {
        "all_detections": seen,
        "classes_detected": [{"class_name": name, "confidence": score} for name, score in surest.items()],
        "total_detections": len(seen),
        "top_class": seen[0]["class_name"] if seen else None,
        "top_confidence": seen[0]["confidence"] if seen else None,
    }


def _detections(live: Live, detections: Sequence[Detection]) -> list[Body]:
    names = live.reader.bundle.taxonomy.class_names
    return [
        {
            "class_id": found.class_id,
            "class_name": names[found.class_id],
            "confidence": _score(found.confidence),
            "bbox": {
                edge: round(float(at), BOX_DIGITS)
                for edge, at in zip(("x1", "y1", "x2", "y2"), found.xyxy_px, strict=True)
            },
        }
        for found in detections
    ]


def _quality(photo: Photo, quality: Quality) -> Body:
    return {
        "sharpness": round(quality.sharpness, 1),
        "brightness": round(quality.brightness, 1),
        "leaf_fraction": round(quality.leaf_fraction, 3),
        "width": photo.width,
        "height": photo.height,
        "warnings": [{"code": warning.code, "message": warning.message} for warning in quality.warnings],
    }


def _score(value: float) -> float:
    return round(min(1.0, max(0.0, float(value))), SCORE_DIGITS)
