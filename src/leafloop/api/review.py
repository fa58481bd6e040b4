"""/review: cases one after the other, decisions, undo, agreement, doubtful labels. Decides nothing: `learning.review` does."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from leafloop.access import Caller
from leafloop.api import callers
from leafloop.api import review_schemas as shapes
from leafloop.api.schemas import NO_NUL
from leafloop.crossing import in_thread
from leafloop.errors import NotFound
from leafloop.learning.review.deciding import Decision, Reviewer
from leafloop.live import reviewing

router = APIRouter(prefix="/api/v1/review", tags=["review"])

AnyReviewer = Annotated[Caller, Depends(callers.REVIEW)]
MAX_SKIP = 20  # cases that one page has in hand: it fetches the next one or two ahead
_ID = re.compile(r"[0-9a-f-]{36}", re.ASCII)
_NOTHING: dict[int | str, dict[str, Any]] = {204: {"description": "Nothing is there"}}


@router.get("/next", response_model=shapes.CaseShown, responses=_NOTHING)
async def next_case(
    request: Request,
    caller: AnyReviewer,
    skip: Annotated[list[Annotated[str, Query(max_length=36, pattern=NO_NUL)]], Query(max_length=MAX_SKIP)] = [],  # noqa: B006
    reason: Annotated[str | None, Query(pattern=shapes.ONE_REASON)] = None,
) -> Any:
    """The next case, which nobody else is shown for `LEAFLOOP_REVIEW_LEASE_MINUTES`. 204: the queue is empty for this caller."""
    parts = request.app.state.parts
    case = await in_thread(request, reviewing.take_next, parts, _reviewer(caller), skip=skip, reason=reason)
    return Response(status_code=204) if case is None else case


@router.get("/queue", response_model=shapes.QueueCounts)
async def queue(request: Request, _caller: AnyReviewer) -> dict[str, Any]:
    """How many cases wait, and how often the model was right on the random share."""
    return await in_thread(request, reviewing.queue, request.app.state.parts)


@router.get("/agreement", response_model=shapes.AgreementFound)
async def agreement(request: Request, _caller: AnyReviewer) -> dict[str, Any]:
    """How far reviewers agree."""
    return await in_thread(request, reviewing.agreement, request.app.state.parts)


@router.get("/doubtful", response_model=shapes.DoubtfulLabels)
async def doubtful(
    request: Request, _caller: AnyReviewer, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> dict[str, Any]:
    """Labels that are likely mistakes, the likeliest first. They stay as they are until somebody looks."""
    return await in_thread(request, reviewing.doubtful, request.app.state.parts, limit=limit)


@router.get("/items/{item_id}", response_model=shapes.CaseShown)
async def take_case(request: Request, caller: AnyReviewer, item_id: str) -> dict[str, Any]:
    """One case, taken as `next` does; also one that is decided, for a second look."""
    return await in_thread(request, reviewing.take, request.app.state.parts, _reviewer(caller), _checked(item_id))


@router.post("/items/{item_id}/decision", response_model=shapes.Decided)
async def decide(request: Request, caller: AnyReviewer, item_id: str, sent: shapes.DecisionSent) -> dict[str, Any]:
    """Decide a case. 409 when it changed since `version`, or somebody else has it. The same decision again changes nothing."""
    said = sent.root.model_dump(exclude={"version"})
    parts, version = request.app.state.parts, sent.root.version
    work = reviewing.decide
    return await in_thread(request, work, parts, _reviewer(caller), _checked(item_id), version, Decision(**said))


@router.post("/items/{item_id}/release", response_model=shapes.Released)
async def release(request: Request, caller: AnyReviewer, item_id: str) -> dict[str, Any]:
    """Give a case back undecided."""
    await in_thread(request, reviewing.release, request.app.state.parts, _reviewer(caller), _checked(item_id))
    return {"ok": True, "item_id": item_id}


@router.post("/undo", response_model=shapes.CaseShown, responses=_NOTHING)
async def undo(request: Request, caller: AnyReviewer, asked: shapes.UndoAsked | None = None) -> Any:
    """Take this caller's last decision back: its case again, in hand. 204: there is none."""
    which = asked.review_id if asked is not None else None
    parts = request.app.state.parts
    case = await in_thread(request, reviewing.undo, parts, _reviewer(caller), review_id=which)
    return Response(status_code=204) if case is None else case


def _reviewer(caller: Caller) -> Reviewer:
    return reviewing.reviewer(caller.key_id, caller.label)


def _checked(item_id: str) -> str:
    if not _ID.fullmatch(item_id):
        raise NotFound("There is no case by this id.")
    return item_id
