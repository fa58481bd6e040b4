"""What schemathesis cannot read in a schema: bytes that are a photo, and words whose meaning is elsewhere. Loaded by its `hooks`."""

from __future__ import annotations

import json
import zlib
from typing import Any

import schemathesis
from hypothesis import strategies as st
from tests import hostile

PHOTOS = st.sampled_from([hostile.encode(hostile.photo().resize((80, 60)), kind) for kind in ("JPEG", "PNG", "WEBP")])
schemathesis.openapi.format("binary", PHOTOS)
for kind in ("image/jpeg", "image/png", "image/webp", "image/heic", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, PHOTOS)
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
schemathesis.openapi.media_type("application/offset+octet-stream", PHOTOS)


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case, **_: Any) -> None:
    """Leave out what a schema cannot tell: it fits, and is refused for what was said before; or does not, and is not looked at."""
    case.query.pop("cursor", None)  # only what a list gave is one: tests/api/test_predictions.py
    body = case.body if isinstance(case.body, dict) else {}
    for name in (
        body.keys() & case.query.keys()
    ):  # a form's field goes before the parameter, which is then not looked at
        del case.query[name]
    if case.meta is None or case.meta.generation.mode.is_positive:
        if "Upload-Length" in case.headers:  # a photo may be long, and no longer than a setting says
            case.headers["Upload-Length"] = "1000"
            case.headers.pop("Upload-Metadata", None)  # its grammar: tests/api/test_uploads.py
        if "Idempotency-Key" in case.headers:  # the same key for another photo is refused: tests/live/test_answering.py
            case.headers["Idempotency-Key"] = case.id
        if "\\u0000" in json.dumps(body.get("metadata")):  # no database keeps a NUL: tests/api/test_predictions.py
            body["metadata"] = {"plant": "17"}
        if case.path == "/api/v1/feedback/submit" and body:
            case.body = meant(body)
        if case.path.endswith("/decision") and body.get("decision") == "correct":
            case.body = {**body, **one_of(OPINIONS, body)}
        if case.method == "PATCH" and "/training-data/" in case.path and body.keys() & {*LABELS[0]}:
            case.body = {**body, **one_of(LABELS, body)}
        if case.path == "/api/v1/feedback/undo":
            body.pop("user_id", None)  # whose word there is to take back: tests/api/test_feedback.py


CORRECTIONS = (
    {"is_correct": True}, {"is_correct": False}, {"is_correct": False, "correct_class_id": 5},
    {"is_correct": False, "correct_outcome": "no_leaf"}, {"is_correct": False, "corrected_boxes": []},
    {"is_correct": False, "corrected_boxes": [{"class_id": 4, "bbox": {"x1": 1, "y1": 2.5, "x2": 40, "y2": 60}}]},
)  # fmt: skip
FREE = ("prediction_id", "user_id", "user_comment", "confidence_rating", "ask_expert")


def meant(body: dict[str, Any]) -> dict[str, Any]:
    """A word that does not contradict itself, its answer or its photo (tests/learning/words/test_feedback.py); the rest as it was drawn."""
    return {name: body[name] for name in FREE if name in body} | one_of(CORRECTIONS, body)


# What a reviewer may say of any photo (what contradicts itself: tests/learning/review/test_opinions.py, tests/api/test_training_data.py).
BOX = {"class_id": 4, "class_name": None, "bbox": {"x1": 1, "y1": 2.5, "x2": 40, "y2": 60}}
OPINIONS: tuple[dict[str, Any], ...] = (
    {"outcome": "no_leaf", "class_name": None, "boxes": None}, {"outcome": "healthy", "class_name": None, "boxes": []},
    {"outcome": None, "class_name": None, "boxes": [BOX]}, {"outcome": "uncertain", "class_name": None, "boxes": None},
)  # fmt: skip
LABELS = tuple({("bbox_data" if name == "boxes" else name): said[name] for name in said} for said in OPINIONS)
LABELS[-1]["is_validated"] = False  # what nobody can tell is not trained on


def one_of(values: tuple[dict[str, Any], ...], body: dict[str, Any]) -> dict[str, Any]:
    """One for each body, always the same."""
    return values[zlib.crc32(json.dumps(body, sort_keys=True).encode()) % len(values)]
