"""POST /predict and its two older shapes: a photo in, the answer out. Decides nothing: `live.answering` does."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import JSONResponse

from leafloop.access import Caller
from leafloop.api import callers, schemas, upload
from leafloop.crossing import in_thread, refuse_photo_early
from leafloop.live.submission import MAX_KEY, Sender, Submission, checked

router = APIRouter(prefix="/api/v1", tags=["predict"])

_TEXT: dict[str, Any] = {"type": "string", "maxLength": 200, "pattern": schemas.ONE_LINE}
# An empty text says nothing, like a field that is not there: so browsers send what was left open.
_FORM_FIELDS: dict[str, Any] = {
    "user_id": {**_TEXT, "description": "Who sends; believed within the key alone."},
    "user_location": {**_TEXT, "description": "Stored because you give it; EXIF is never read."},
    "group": {**_TEXT, "description": "Plant, plot or session that this photo belongs to."},
    "captured_at": {
        "type": "string",
        "anyOf": [{"format": "date-time"}, {"const": ""}],
        "description": "When it was taken, ISO 8601.",
    },
    "consent": {"type": "string", "enum": [*upload.CONSENT, ""], "description": "May this photo be trained on?"},
}
_BYTES = {"schema": {"type": "string", "format": "binary"}}
# The body is read by hand, so that limits hold while it arrives; this is what it looks like.
TAKES_A_PHOTO: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "maxProperties": upload.MAX_PARTS,
                    "additionalProperties": {"type": "string", "description": "Passed over, if it is small."},
                    "properties": {"file": {"type": "string", "format": "binary"}, **_FORM_FIELDS},
                }
            },
            **dict.fromkeys(("image/jpeg", "image/png", "image/webp", "image/heic"), _BYTES),
            "application/octet-stream": _BYTES,
        },
    },
    "parameters": [
        {"name": name, "in": "query", "schema": schema, "description": f"With a raw body. {schema['description']}"}
        for name, schema in _FORM_FIELDS.items()
    ],
}

Idempotency = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="1 to 255 printable ASCII characters, new for each photo. A retry with it gives the same answer.",
        # Said here, and held by `live.submission` for every door.
        json_schema_extra={"minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    ),
]
Photographer = Annotated[Caller, Depends(callers.PHOTO)]


@router.post("/predict", response_model=schemas.Prediction, openapi_extra=TAKES_A_PHOTO)
async def predict(request: Request, caller: Photographer, idempotency_key: Idempotency = None) -> JSONResponse:
    """Judge a photo. The answer comes after the photo and the answer itself are stored."""
    return JSONResponse(await _answer(request, caller, idempotency_key))


@router.post("/predict/classify", response_model=schemas.Classification, openapi_extra=TAKES_A_PHOTO)
async def classify(request: Request, caller: Photographer, idempotency_key: Idempotency = None) -> JSONResponse:
    """The same answer without the boxes."""
    body = await _answer(request, caller, idempotency_key)
    return JSONResponse({name: value for name, value in body.items() if name != "detections"})


@router.post("/predict/classify/debug", response_model=schemas.Debugging, openapi_extra=TAKES_A_PHOTO)
async def debug(request: Request, caller: Annotated[Caller, Depends(callers.DEBUG)]) -> JSONResponse:
    """Everything that the model sees in a photo, at a low threshold. Stores nothing."""
    parts, sender = request.app.state.parts, Sender(caller.key_id, caller.role)
    sent = checked(await _submission(request), sender)
    body = await in_thread(request, parts.answering.debug, sent.data)
    return JSONResponse({**body, "user_id": sent.user_id})


async def _answer(request: Request, caller: Caller, idempotency_key: str | None) -> dict[str, Any]:
    answering, sender = request.app.state.parts.answering, Sender(caller.key_id, caller.role)
    submission = await _submission(request, idempotency_key)
    body: dict[str, Any] = await in_thread(request, answering.answer, submission, sender)
    return body


async def _submission(request: Request, idempotency_key: str | None = None) -> Submission:
    refuse_photo_early(request)
    sent = await upload.read(request, request.app.state.parts.settings.max_upload_bytes)
    return Submission(
        data=sent.data,
        file_name=sent.file_name,
        user_id=sent.fields.get("user_id"),
        user_location=sent.fields.get("user_location"),
        group=sent.fields.get("group"),
        captured_at=sent.fields.get("captured_at"),
        consent=sent.consent,
        idempotency_key=idempotency_key,
        request_id=request.state.request_id,
        source="api",
    )
