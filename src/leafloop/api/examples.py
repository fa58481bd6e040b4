"""An example of each answer, made of the class set in force: it names no class. A test holds each to its shape."""

from __future__ import annotations

from typing import Any

import leafloop
from leafloop.api.review_examples import reviews
from leafloop.live import speaking
from leafloop.taxonomy import Taxonomy

_ID = "6f1c2a9e-3b1d-4c57-9a55-0d6f3f6b7c21"
_WORD_ID = "0f9d1c52-7c1e-4a53-8f0e-6d1a2b3c4d5e"
_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_AT = "2026-11-24T08:30:00+00:00"
_MODEL = {"name": "banana-tiles", "version": "3", "bundle": _HASH}
_KEPT = {"what": "photo", "why": "A frozen snapshot holds it.", "snapshots": [_HASH]}
_BOX = {"x1": 812.4, "y1": 455.0, "x2": 871.9, "y2": 540.2}


def by_call(taxonomy: Taxonomy) -> dict[tuple[str, str], Any]:
    """(method, path) -> the example body of its 200 answer."""
    whole = _prediction(taxonomy)
    return {
        ("POST", "/api/v1/predict"): whole,
        ("POST", "/api/v1/predict/classify"): {k: v for k, v in whole.items() if k != "detections"},
        ("POST", "/api/v1/predict/classify/debug"): _debug(whole),
        ("GET", "/api/v1/db/predictions"): {
            "total": 1, "limit": 100, "offset": 0, "items": [_stored(whole)], "next_cursor": None
        },
        ("GET", "/api/v1/db/predictions/{prediction_id}"): {
            **_stored(whole), "group": "plot 7", "captured_at": _AT, "consent": True, "answer": whole,
            "feedback": [_word(taxonomy)],
            "reply": {
                "outcome": "diseased", "class_name": whole["class_name"],
                "comment": "The streaks on the left make it so.", "at": _AT
            },
        },
        ("POST", "/api/v1/feedback/submit"): {
            "success": True, "feedback_id": _WORD_ID, "message": speaking.KEPT, "status": "pending"
        },
        ("POST", "/api/v1/feedback/undo"): {
            "success": True, "feedback_id": None, "message": speaking.TAKEN_BACK, "status": None
        },
        ("GET", "/api/v1/feedback/stats"): _stats(taxonomy),
        ("GET", "/api/v1/db/feedback"): {
            "total": 1, "limit": 100, "offset": 0, "items": [_word(taxonomy)], "next_cursor": None
        },
        ("GET", "/api/v1/db/feedback/{feedback_id}"): _word(taxonomy),
        ("PATCH", "/api/v1/db/feedback/{feedback_id}"): {"ok": True, "feedback_id": _WORD_ID},
        ("DELETE", "/api/v1/db/feedback/{feedback_id}"): {"ok": True, "deleted": _WORD_ID},
        ("PATCH", "/api/v1/db/predictions/{prediction_id}"): {"ok": True, "prediction_id": _ID},
        ("DELETE", "/api/v1/db/predictions/{prediction_id}"): {"ok": True, "deleted": _ID, "kept": [_KEPT]},
        **reviews(whole),
        ("GET", "/api/v1/mlops/champion"): {**_MODEL, "since": _AT, "previous": "2", "loaded": True},
        ("GET", "/api/v1/mlops/status"): {
            "model_name": _MODEL["name"],
            "production": {"version": "3", "run_id": None},
            "staging": {"version": None, "run_id": None},
        },
        ("POST", "/api/v1/mlops/promote"): _moved("3", "2", "Model 3 answers from now on."),
        ("POST", "/api/v1/mlops/rollback"): _moved("2", "3", "Rolled back: model 2 answers from now on."),
        ("GET", "/api/v1/mlops/snapshots"): {"items": [_snapshot(taxonomy)]},
        ("GET", "/api/v1/mlops/snapshots/{hash}"): {
            **_snapshot(taxonomy), "parts": [{"first": "9f", "photos": 4, "sha256": _HASH}]
        },
        ("GET", "/health"): {"status": "ok", "message": "API is running"},
        ("GET", "/"): {"message": "Leafloop", "version": leafloop.__version__, "endpoints": {"docs": "/docs"}},
    }  # fmt: skip


def _word(taxonomy: Taxonomy) -> dict[str, Any]:
    worst = max(range(len(taxonomy.classes)), key=lambda i: taxonomy.classes[i].severity)
    return {
        "id": _WORD_ID,
        "prediction_id": _ID,
        "user_id": "maria",
        "is_correct": False,
        "correct_class_id": worst,
        "correct_class_name": taxonomy.class_names[worst],
        "correct_outcome": "diseased",
        "corrected_boxes": None,
        "ask_expert": True,
        "user_comment": "It looks further on to me.",
        "confidence_rating": 4,
        "feedback_source": "api",
        "timestamp": _AT,
        "status": "accepted",
        "replaces": None,
        "processed_for_training": False,
        "processed_at": None,
    }


def _stats(taxonomy: Taxonomy) -> dict[str, Any]:
    counts = {"total_predictions": 200, "total_feedback": 50, "correct": 45, "incorrect": 5, "accuracy": 0.9}
    return {
        "period_days": 7,
        "total_predictions": 200,
        "total_feedback": 50,
        "correct_predictions": 45,
        "incorrect_predictions": 5,
        "overall_accuracy": 0.9,
        "accuracy_interval": [0.7819, 0.9667],
        "feedback_rate": 0.25,
        "class_statistics": {taxonomy.class_names[0]: counts},
        "by_status": {"pending": 12, "accepted": 38, "overruled": 3, "replaced": 4, "withdrawn": 1},
    }


def _snapshot(taxonomy: Taxonomy) -> dict[str, Any]:
    name = taxonomy.class_names[-1]
    return {
        "hash": _HASH,
        "name": "rainy season",
        "photos": 4,
        "splits": {"train": 2, "val": 1, "test": 1},
        "classes": {name: {"train": 2, "val": 1, "test": 1}},
        "boxes": {name: {"train": 9, "val": 3, "test": 2}},
        "weak": {"train": 1},
        "left_out": {"blurred": 3, "uncertain": 1},
        "options": {"consent_required": False, "keep_given_splits": True},
        "actor": "cli",
        "created_at": _AT,
    }


def _moved(version: str, previous: str, message: str) -> dict[str, Any]:
    return {"ok": True, "message": message, "version": version, "previous": previous}


def _prediction(taxonomy: Taxonomy) -> dict[str, Any]:
    worst = max(range(len(taxonomy.classes)), key=lambda i: taxonomy.classes[i].severity)
    name = taxonomy.class_names[worst]
    return {
        "success": True,
        "prediction_id": _ID,
        "user_id": "maria",
        "image_size": {"width": 3000, "height": 4000},
        "class_id": worst,
        "class_name": name,
        "confidence": 0.87,
        "reliable": True,
        "outcome": "diseased",
        "advice": taxonomy.advice_for(worst),
        "quality": {
            "sharpness": 212.5, "brightness": 118.2, "leaf_fraction": 0.71,
            "width": 3000, "height": 4000, "warnings": [],
        },
        "detections": [{"class_id": worst, "class_name": name, "confidence": 0.87, "bbox": _BOX}],
        "model": _MODEL,
        "timings_ms": {"decode": 61.0, "tile": 4.2, "infer": 590.3, "merge": 0.9, "store": 6.5, "total": 664.1},
    }  # fmt: skip


def _debug(whole: dict[str, Any]) -> dict[str, Any]:
    return {
        "user_id": whole["user_id"],
        "all_detections": whole["detections"],
        "classes_detected": [{"class_name": whole["class_name"], "confidence": whole["confidence"]}],
        "total_detections": 1,
        "top_class": whole["class_name"],
        "top_confidence": whole["confidence"],
    }


def _stored(whole: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": _ID,
        "user_id": whole["user_id"],
        "user_location": "Davao",
        "image_path": f"/api/v1/db/predictions/{_ID}/photo",
        "image_size_kb": 2840.5,
        "image_width": 3000,
        "image_height": 4000,
        "image_hash": _HASH,
        "predicted_class_id": whole["class_id"],
        "predicted_class_name": whole["class_name"],
        "confidence": whole["confidence"],
        "bbox_data": whole["detections"],
        "model_version": "3",
        "model_name": _MODEL["name"],
        "inference_time_ms": 590.3,
        "timestamp": _AT,
        "metadata": None,
        "outcome": whole["outcome"],
        "reliable": True,
        "bundle_hash": _HASH,
        "source": "api",
        "request_id": "0c3f6d0b7d0e4f0f8f4a4f2d9f1c7e55",
    }
