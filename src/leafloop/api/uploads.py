"""/uploads: a photo in pieces, over a line that breaks (tus 1.0). Who may; the protocol is `leafloop.tus`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from leafloop import tus
from leafloop.access import Caller
from leafloop.api import callers, schemas
from leafloop.live.submission import MAX_KEY

AT = "/api/v1/uploads"
router = APIRouter(prefix=AT, tags=["uploads"])

AnyKey = Annotated[Caller, Depends(callers.FIELD)]
Photographer = Annotated[Caller, Depends(callers.PHOTO)]  # a photo counts once, when it is begun, not with each piece

_NUMBER: dict[str, Any] = {"type": "string", "pattern": r"^(0|[1-9]\d{0,14})$"}
_LENGTH: dict[str, Any] = {"type": "string", "pattern": r"^[1-9]\d{0,14}$"}


def _header(name: str, description: str, *, required: bool = True, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


_OFFSET = _header("Upload-Offset", "Where this piece begins: as many bytes as are safe.", **_NUMBER)
_BEGINS: dict[str, Any] = {
    "parameters": [
        _header("Upload-Length", "Bytes of the whole photo, at most what OPTIONS says in Tus-Max-Size.", **_LENGTH),
        _header(
            "Upload-Metadata",
            "filename, user_id, user_location, group, captured_at, consent (true or false), as 'key base64,key base64'.",
            required=False,
            type="string",
        ),
        _header(
            "Idempotency-Key",
            "New for each photo. Made twice with it, it is one upload, and one answer.",
            type="string",
            minLength=1,
            maxLength=MAX_KEY,
            pattern="^[!-~]([ -~]*[!-~])?$",
        ),
    ]
}
_PIECE: dict[str, Any] = {
    "parameters": [_OFFSET],
    "requestBody": {"required": True, "content": {tus.PIECE_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
}


@router.options("", include_in_schema=False, dependencies=[Depends(callers.PUBLIC)])
@router.options("/{upload_id}", include_in_schema=False, dependencies=[Depends(callers.PUBLIC)])
async def options(request: Request) -> Response:
    """What of the protocol is spoken here."""
    return tus.offers(request)


@router.post("", status_code=201, response_class=Response, openapi_extra=_BEGINS)
async def begin(request: Request, caller: Photographer) -> Response:
    """Begin a photo that comes in pieces; `Location` is where they go. tus 1.0, with creation and termination."""
    return await tus.begin(request, caller, at=AT, source="api")


@router.head("/{upload_id}", include_in_schema=False)
async def look(request: Request, caller: AnyKey, upload_id: str) -> Response:
    """`Upload-Offset`: how many bytes are safe."""
    return await tus.look(request, caller, upload_id)


@router.patch("/{upload_id}", status_code=204, response_class=Response, openapi_extra=_PIECE)
async def take(request: Request, caller: AnyKey, upload_id: str) -> Response:
    """One piece, of at most 1 MiB. It is safe when this answers 204."""
    return await tus.take(request, caller, upload_id)


@router.delete("/{upload_id}", status_code=204, response_class=Response)
async def give_up(request: Request, caller: AnyKey, upload_id: str) -> Response:
    """Take an upload away with its pieces. An answer that was given stays."""
    return await tus.give_up(request, caller, upload_id)


@router.get("/{upload_id}/answer", response_model=schemas.Prediction)
async def answer(request: Request, caller: AnyKey, upload_id: str) -> JSONResponse:
    """The answer to a photo that came whole, as `POST /predict` gives it. Asked again it is the same."""
    return JSONResponse(await tus.answer(request, caller, upload_id))
