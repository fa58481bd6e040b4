"""Examples of what review and labels answer, made of an example answer: they name no class. A test holds each to its shape."""

from __future__ import annotations

import hashlib
from typing import Any

_ITEM, _REVIEW, _LABEL = (f"{digit * 8}-3b1d-4c57-9a55-0d6f3f6b7c21" for digit in "abc")
_HASH = hashlib.sha256(b"a photo").hexdigest()
_AT, _LATER = "2026-11-24T08:30:00+00:00", "2026-11-24T08:40:00+00:00"


def reviews(answer: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """(method, path) -> the example body of its 200 answer. `answer`: a body of /predict."""
    case, label = _case(answer), _label(answer)
    one = {"ok": True, "id": _LABEL}
    return {
        ("GET", "/api/v1/review/next"): case,
        ("GET", "/api/v1/review/items/{item_id}"): case,
        ("POST", "/api/v1/review/undo"): case,
        ("POST", "/api/v1/review/items/{item_id}/decision"): {
            "review_id": _REVIEW, "item_id": _ITEM, "state": "done", "version": 3,
            "label": {"id": _LABEL, "strength": "strong", "revision": 1},
        },
        ("POST", "/api/v1/review/items/{item_id}/release"): {"ok": True, "item_id": _ITEM},
        ("GET", "/api/v1/review/queue"): {
            "open": 31, "second": 2, "disputed": 1, "done": 840, "rejected": 12, "waiting": 34, "overdue": 0,
            "accuracy": {
                "reviewed": 120, "abstained": 8, "skipped": 2, "correct": 103, "accuracy": 0.9196,
                "interval": [0.8548, 0.9569],
            },
        },
        ("GET", "/api/v1/review/agreement"): {
            "pairs": 40, "agreed": 35, "kappa": 0.82, "box_f1": 0.77,
            "reviewers": [
                {"reviewer": "Ana", "compared": 21, "agreed": 19, "interval": [0.711, 0.9735], "box_f1": 0.8}
            ],
        },
        ("GET", "/api/v1/review/doubtful"): {"items": [_doubt(answer)]},
        ("GET", "/api/v1/db/training-data"): {
            "total": 1, "limit": 100, "offset": 0, "items": [label], "next_cursor": None
        },
        ("GET", "/api/v1/db/training-data/{label_id}"): label,
        ("PATCH", "/api/v1/db/training-data/{label_id}"): one,
        ("DELETE", "/api/v1/db/training-data/{label_id}"): {"ok": True, "deleted": _LABEL},
    }  # fmt: skip


def _case(answer: dict[str, Any]) -> dict[str, Any]:
    size = answer["image_size"]
    return {
        "item_id": _ITEM,
        "version": 2,
        "state": "open",
        "reasons": [{"code": "asked", "detail": None}, {"code": "rare_class", "detail": answer["class_name"]}],
        "due_at": _LATER,
        "is_random": False,
        "leased_until": _LATER,
        "blind": False,
        "prediction": {
            "id": answer["prediction_id"],
            "created_at": _AT,
            "width": size["width"],
            "height": size["height"],
            **{name: answer[name] for name in ("outcome", "class_id", "class_name", "confidence", "user_id")},
            "model_version": answer["model"]["version"],
            "group": "plot 7",
            "quality": answer["quality"],
        },
        "detections": answer["detections"],
        "words": [
            {
                "author": "maria", "is_correct": None, "correct_class_name": None, "correct_outcome": None,
                "corrected_boxes": None, "ask_expert": True, "comment": "It came last week.", "rating": None,
                "created_at": _AT,
            }
        ],
        "opinions": [],
        "lookalikes": [
            {
                "label_id": _LABEL, "image_hash": _HASH, "class_name": answer["class_name"], "outcome": "diseased",
                "distance": 41,
            }
        ],
        "remaining": 34,
    }  # fmt: skip


def _said(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: box[name] for name in ("class_id", "class_name", "bbox")} for box in answer["detections"]]


def _label(answer: dict[str, Any]) -> dict[str, Any]:
    size = answer["image_size"]
    return {
        "id": _LABEL, "image_path": f"/api/v1/db/training-data/{_LABEL}/photo", "image_hash": _HASH,
        "class_id": answer["class_id"], "class_name": answer["class_name"], "bbox_data": _said(answer),
        "source": "feedback", "source_id": _REVIEW, "quality_score": 1.0, "blur_score": 212.5,
        "brightness_score": 118.2, "is_validated": True, "validated_by": "anasanas/Ana", "validated_at": _AT,
        "dataset_split": "train", "added_date": _AT, "metadata": None, "outcome": "diseased", "strength": "strong",
        "feedback_ids": [_ITEM], "name": "leaf.jpg", "width": size["width"], "height": size["height"],
        "user_id": "maria", "group": "plot 7", "may_test": True, "revision": 1,
    }  # fmt: skip


def _doubt(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "label_id": _LABEL, "revision": 2, "item_id": _ITEM, "image_hash": _HASH, "class_name": answer["class_name"],
        "outcome": "diseased", "strength": "strong", "score": 0.93,
        "reasons": [{"code": "model", "detail": "healthy"}],
    }  # fmt: skip
