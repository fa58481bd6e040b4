"""The pages' way to send a photo in pieces: the cookie's twin of the API's `/uploads`. The protocol is `leafloop.tus`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from leafloop import tus
from leafloop.access import Caller
from leafloop.web import visitors
from leafloop.web.rendering import HEADERS

_ANSWER = {**HEADERS, **tus.IN_EVERY_ANSWER}  # by which the script tells our answers from a captive portal's

AT = "/uploads"
router = APIRouter(prefix=AT, include_in_schema=False)

Visit = Annotated[Caller, Depends(visitors.FIELD)]


@router.post("")
async def begin(request: Request, caller: Annotated[Caller, Depends(visitors.PHOTO)]) -> Response:
    return await tus.begin(request, caller, at=AT, source="page")


@router.head("/{upload_id}")
async def look(request: Request, caller: Visit, upload_id: str) -> Response:
    return await tus.look(request, caller, upload_id)


@router.patch("/{upload_id}")
async def take(request: Request, caller: Visit, upload_id: str) -> Response:
    return await tus.take(request, caller, upload_id)


@router.delete("/{upload_id}")
async def give_up(request: Request, caller: Visit, upload_id: str) -> Response:
    return await tus.give_up(request, caller, upload_id)


@router.get("/{upload_id}/answer")
async def answer(request: Request, caller: Visit, upload_id: str) -> JSONResponse:
    """Where the answer can be read."""
    body = await tus.answer(request, caller, upload_id)
    return JSONResponse({"prediction_id": body["prediction_id"], "outcome": body["outcome"]}, headers=_ANSWER)
