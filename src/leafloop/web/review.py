"""The review pages: the photos that wait, one after the other, how far reviewers agree, and labels that look doubtful.

Thin: what a case is and what a decision does is `learning.review.deciding`'s to say, what the pages say is the templates'.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, RedirectResponse, Response

from leafloop.access import Caller
from leafloop.crossing import in_thread
from leafloop.errors import NotFound, RequestInvalid
from leafloop.learning.boxes import MAX_BOXES
from leafloop.learning.review.deciding import Decision, Reviewer
from leafloop.learning.review.worth import WEIGHTS
from leafloop.live import reviewing
from leafloop.live.parts import Parts
from leafloop.taxonomy import Taxonomy
from leafloop.web import thumbnails, visitors
from leafloop.web.answers import ink_on
from leafloop.web.rendering import HEADERS, render
from leafloop.web.review_contexts import AgreementPage, DoubtfulPage, DoubtfulRow, ReviewerRow, ReviewPage

router = APIRouter(prefix="/review", include_in_schema=False)

Visit = Annotated[Caller, Depends(visitors.REVIEW)]
NO_NUL = r"^[^\x00]*$"  # PostgreSQL keeps none
ItemId = Annotated[str | None, Query(max_length=36, pattern=NO_NUL)]
OneReason = Annotated[str | None, Query(pattern=f"^({'|'.join(WEIGHTS)})$")]
DIGITS = 10  # classes that a digit key reaches; more are chosen by their buttons
MAX_SKIP = 200  # photos that a page has in hand, or decided while there was no network: a long sitting's worth
KEEP_PHOTO_S = 3600  # as the photo of an answer
_ID = re.compile(r"[0-9a-f-]{36}", re.ASCII)
_NUMBER = re.compile(r"[1-9]\d{0,8}", re.ASCII)


class DecisionSent(BaseModel):
    """What the page sends of one decision; what its parts mean together is for `learning.review.deciding` to say."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    decision: Literal["accept", "correct", "reject", "skip"]
    outcome: Literal["diseased", "healthy", "uncertain", "no_leaf"] | None = None
    class_name: Annotated[str | None, Field(max_length=64, pattern=NO_NUL)] = None
    boxes: Annotated[list[dict[str, Any]] | None, Field(max_length=MAX_BOXES)] = None
    comment: Annotated[str | None, Field(max_length=2000, pattern=NO_NUL)] = None
    seconds: Annotated[float | None, Field(ge=0, le=24 * 3600)] = None
    ask_second: bool = False


class UndoSent(BaseModel):
    """Which decision is meant; asked twice, it is taken back once. None: the last one."""

    model_config = ConfigDict(extra="forbid")

    review_id: Annotated[str | None, Field(max_length=36, pattern=NO_NUL)] = None


@router.get("")
async def review_page(request: Request, caller: Visit, item: ItemId = None, reason: OneReason = None) -> Response:
    """The page, empty: its script fetches one photo after the other. `item`: the one to begin with."""
    parts: Parts = request.app.state.parts
    context = ReviewPage(
        visitor=visitors.seen_as(caller),
        classes=class_list(parts.taxonomy),
        lease_minutes=parts.settings.review_lease_minutes,
        item_id=item,
        reason=reason,
    )
    return render(context)


@router.get("/next.json")
async def next_case(
    request: Request,
    caller: Visit,
    skip: Annotated[str, Query(max_length=37 * MAX_SKIP, pattern=NO_NUL)] = "",
    reason: OneReason = None,
    item: ItemId = None,
) -> Response:
    """The next case, in this reviewer's hand from now on; 204: none is left. `skip`: ids with commas between. `item`: this one."""
    parts, who = request.app.state.parts, _reviewer(caller)
    if item is not None:
        return _json(await in_thread(request, reviewing.take, parts, who, _checked(item)))
    ids = [one for one in skip.split(",") if one]
    case = await in_thread(request, reviewing.take_next, parts, who, skip=ids, reason=reason)
    if case is not None and await request.is_disconnected():  # the page was left meanwhile: nobody has it in hand
        await in_thread(request, reviewing.release, parts, who, case["item_id"])
    return _json(case)


@router.get("/queue.json")
async def queue(request: Request, _caller: Visit) -> Response:
    """How many cases there are in each state."""
    return _json(await in_thread(request, reviewing.queue, request.app.state.parts))


@router.post("/items/{item_id}/decision")
async def decide(request: Request, caller: Visit, item_id: str, sent: DecisionSent) -> Response:
    """Decide a case. The same decision sent again changes nothing."""
    decision = Decision(**sent.model_dump(exclude={"version"}))
    work, parts = reviewing.decide, request.app.state.parts
    return _json(await in_thread(request, work, parts, _reviewer(caller), _checked(item_id), sent.version, decision))


@router.post("/items/{item_id}/release")
async def release(request: Request, caller: Visit, item_id: str) -> Response:
    """Give a case back undecided: the page is left."""
    await in_thread(request, reviewing.release, request.app.state.parts, _reviewer(caller), _checked(item_id))
    return Response(status_code=204, headers=HEADERS)


@router.post("/undo")
async def undo(request: Request, caller: Visit, sent: UndoSent) -> Response:
    """Take this reviewer's last decision back: its case, in hand again. 204: there is none."""
    work, parts = reviewing.undo, request.app.state.parts
    return _json(await in_thread(request, work, parts, _reviewer(caller), review_id=sent.review_id))


@router.get("/labels/{label_id}/photo")
async def label_photo(request: Request, _caller: Visit, label_id: str) -> Response:
    """A small copy of the photo of a label: a look-alike, or a doubtful one."""
    data = await in_thread(request, _small_photo, request.app.state.parts, _checked(label_id))
    headers = {**HEADERS, "Cache-Control": f"private, max-age={KEEP_PHOTO_S}"}
    return Response(data, media_type="image/jpeg", headers=headers)


@router.get("/agreement")
async def agreement_page(request: Request, caller: Visit) -> Response:
    """How far reviewers agree, and how often the answers of the random share hold."""
    parts = request.app.state.parts
    found = await in_thread(request, reviewing.agreement, parts)
    counted = await in_thread(request, reviewing.queue, parts)
    rows = tuple(ReviewerRow(**one) for one in found["reviewers"])
    context = AgreementPage(
        visitor=visitors.seen_as(caller),
        pairs=found["pairs"],
        agreed=found["agreed"],
        kappa=found["kappa"],
        box_f1=found["box_f1"],
        accuracy=counted["accuracy"],
        rows=rows,
    )
    return render(context)


@router.get("/doubtful")
async def doubtful_page(request: Request, caller: Visit) -> Response:
    """Labels that are likely mistakes, for a second look."""
    parts: Parts = request.app.state.parts
    found = await in_thread(request, reviewing.doubtful, parts)
    rows = tuple(_doubt(one, parts.taxonomy) for one in found["items"])
    return render(DoubtfulPage(visitor=visitors.seen_as(caller), classes=class_list(parts.taxonomy), rows=rows))


@router.post("/labels/{label_id}")
async def look_again(request: Request, caller: Visit, label_id: str) -> Response:
    """A doubtful label is right (`answer`: right), or it is something else: a class, `nothing` or `no_leaf`."""
    parts: Parts = request.app.state.parts
    async with request.form(max_files=0, max_fields=4) as form:
        answer, revision = str(form.get("answer", "")), str(form.get("revision", ""))
    if not _NUMBER.fullmatch(revision):
        raise RequestInvalid("The form does not say which revision of the label was looked at.", field="revision")
    work = reviewing.look_again
    await in_thread(request, work, parts, _reviewer(caller), _checked(label_id), int(revision), _looked(answer))
    return RedirectResponse("/review/doubtful", 303, HEADERS)


def _looked(answer: str) -> dict[str, Any]:
    said: dict[str, dict[str, Any]] = {
        "right": {"is_validated": True},
        "no_leaf": {"outcome": "no_leaf"},
        "nothing": {"outcome": "healthy", "bbox_data": []},
    }
    return said.get(answer) or {"class_name": answer.removeprefix("class ")}


def class_list(taxonomy: Taxonomy) -> tuple[dict[str, Any], ...]:
    """The classes as the page's scripts have them."""
    return tuple(
        {
            "id": i,
            "name": one.name,
            "title": taxonomy.title(i),
            "colour": one.colour,
            "ink": ink_on(one.colour),
            "key": str(i) if i < DIGITS else None,
            "severity": one.severity,
            "healthy": one.healthy,
        }
        for i, one in enumerate(taxonomy.classes)
    )


def _doubt(found: dict[str, Any], taxonomy: Taxonomy) -> DoubtfulRow:
    def title_of(name: str | None) -> str | None:  # figures and outcomes say nothing beside the reason's own words
        return taxonomy.title(taxonomy.class_names.index(name)) if name in taxonomy.class_names else None

    title = title_of(found["class_name"]) or found["class_name"]
    reasons = tuple((str(one["code"]), title_of(one["detail"])) for one in found["reasons"])
    return DoubtfulRow(
        found["label_id"], found["revision"], title, found["outcome"], found["score"], reasons, found["item_id"]
    )


def _small_photo(parts: Parts, label_id: str) -> bytes:
    _, _, data = reviewing.label_photo(parts, label_id)
    return thumbnails.shrunk(data, "thumb")


def _reviewer(caller: Caller) -> Reviewer:
    return reviewing.reviewer(caller.key_id, caller.label)


def _checked(an_id: str) -> str:
    if not _ID.fullmatch(an_id):
        raise NotFound
    return an_id


def _json(found: dict[str, Any] | None) -> Response:
    return Response(status_code=204, headers=HEADERS) if found is None else JSONResponse(found, headers=HEADERS)
