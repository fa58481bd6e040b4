"""/feedback and /db/feedback: what people say of answers, and how often they found them right. Judges no word.

A word is never overwritten: what its author says next comes in its place, and deleting one withdraws it. What may be set right is
how it was put, `user_comment` and `confidence_rating`; what it claims is corrected by another word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.orm import Session

from leafloop.access import Caller
from leafloop.api import callers, feedback_schemas, schemas
from leafloop.api.predict import Idempotency
from leafloop.crossing import in_thread
from leafloop.errors import NotEditable, NotFound, RequestInvalid
from leafloop.learning.words import feedback, tally
from leafloop.learning.words.word import Word, checked_comment, checked_rating
from leafloop.live import speaking
from leafloop.live.parts import Parts
from leafloop.live.speaking import Speaker
from leafloop.storage import audit, predictions, words
from leafloop.storage.tables import Feedback

router = APIRouter(prefix="/api/v1", tags=["feedback"])

AnyKey = Annotated[Caller, Depends(callers.FIELD)]
Voice = Annotated[Caller, Depends(callers.FEEDBACK)]
MAX_OFFSET = 2**31 - 1  # a list goes on by cursor; more than this is no number for a database
_ID = re.compile(r"[0-9a-f-]{36}", re.ASCII)

_SAID = ("user_comment", "confidence_rating")
_WHOSE = ("id", "prediction_id", "user_id", "key_id", "feedback_source", "timestamp")
_DERIVED = ("status", "replaces")
_USED = ("processed_for_training", "processed_at")


@router.post("/feedback/submit", response_model=feedback_schemas.Submitted)
async def submit(
    request: Request, caller: Voice, said: feedback_schemas.Submit, idempotency_key: Idempotency = None
) -> dict[str, Any]:
    """Say what you think of an answer. A second word by the same author comes in the place of the first."""
    parts, word = request.app.state.parts, Word(**feedback_schemas.as_word(said))
    speaker = _speaker(caller, said.user_id)
    return await in_thread(
        request, speaking.submit, parts.ledger, parts.taxonomy, speaker, said.prediction_id, word, idempotency_key
    )


@router.post("/feedback/undo", response_model=feedback_schemas.Undone)
async def undo(
    request: Request, caller: Voice, said: feedback_schemas.Undo, idempotency_key: Idempotency = None
) -> dict[str, Any]:
    """Take your word on an answer back; the one before it, if there is one, counts again. Name it by `feedback_id`, or send an
    `Idempotency-Key`: without either, a request that is repeated takes back the word before it, too."""
    ledger, speaker = request.app.state.parts.ledger, _speaker(caller, said.user_id)
    undo = partial(speaking.undo, word_id=said.feedback_id)
    return await in_thread(request, undo, ledger, speaker, said.prediction_id, idempotency_key)


@router.get("/feedback/stats", response_model=feedback_schemas.Statistics)
async def stats(
    request: Request,
    _caller: Annotated[Caller, Depends(callers.REVIEW)],
    days: Annotated[int, Query(ge=1, le=365)] = 7,
    model_version: Annotated[str | None, Query(max_length=200, pattern=schemas.NO_NUL)] = None,
) -> dict[str, Any]:
    """How often people found the answers of the last days right, with an interval that says how sure that is."""
    return await in_thread(request, _stats, request.app.state.parts, days, model_version)


@router.get("/db/feedback", response_model=feedback_schemas.StoredFeedbackList)
async def list_feedback(
    request: Request,
    caller: AnyKey,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    prediction_id: Annotated[str | None, Query(max_length=100, pattern=schemas.NO_NUL)] = None,
    is_correct: Annotated[bool | None, Query()] = None,
    status: Annotated[feedback_schemas.Status | None, Query()] = None,
) -> dict[str, Any]:
    """Words, newest first; those that were withdrawn only by `status=withdrawn`. A key of role `field` sees its own."""
    own = not caller.allows("reviewer")
    filters = words.Filters(
        prediction_id=prediction_id,
        is_correct=is_correct,
        status=status,
        key_id=caller.key_id if own else None,
        keyless=own and caller.key_id is None,
    )
    found = await in_thread(request, _page, request.app.state.parts, filters, limit=limit, offset=offset, cursor=cursor)
    return {**found, "limit": limit, "offset": offset}


@router.get("/db/feedback/{feedback_id}", response_model=feedback_schemas.StoredFeedback)
async def get_feedback(request: Request, caller: AnyKey, feedback_id: str) -> dict[str, Any]:
    """One word, unless it was withdrawn."""
    return await in_thread(request, _one, request.app.state.parts, caller, feedback_id)


@router.patch("/db/feedback/{feedback_id}", response_model=feedback_schemas.ChangedFeedback)
async def edit_feedback(
    request: Request, caller: AnyKey, feedback_id: str, edit: feedback_schemas.EditFeedback
) -> dict[str, Any]:
    """Set right how a word was put: `user_comment`, `confidence_rating`. Another column is 409 with the reason."""
    await in_thread(request, _edit, request.app.state.parts, caller, feedback_id, edit)
    return {"ok": True, "feedback_id": feedback_id}


@router.delete("/db/feedback/{feedback_id}", response_model=schemas.Deleted)
async def withdraw_feedback(request: Request, caller: AnyKey, feedback_id: str) -> dict[str, Any]:
    """Withdraw a word. It no longer counts; that it was said stays in the history."""
    await in_thread(request, _withdraw, request.app.state.parts, caller, feedback_id)
    return {"ok": True, "deleted": feedback_id}


def _speaker(caller: Caller, user_id: str | None) -> Speaker:
    return Speaker(caller.key_id, user_id, sees_all=caller.allows("reviewer"))


def _stats(parts: Parts, days: int, model_version: str | None) -> dict[str, Any]:
    with parts.ledger.reading() as session:
        return tally.stats(session, days=days, model_version=model_version)


def _page(parts: Parts, filters: words.Filters, *, limit: int, offset: int, cursor: str | None) -> dict[str, Any]:
    with parts.ledger.reading() as session:
        page = words.find(session, filters, limit=limit, offset=offset, cursor=cursor)
        items = [speaking.told(row) for row in page.items]
        return {"total": page.total, "items": items, "next_cursor": page.next_cursor}


@contextmanager
def _visible(
    parts: Parts, caller: Caller, feedback_id: str, *, to_change: bool = False
) -> Iterator[tuple[Session, Feedback]]:
    """The row, in a transaction. Somebody else's, and a withdrawn one, is as absent as one that was never there."""
    with parts.ledger.transaction() if to_change else parts.ledger.reading() as session:
        row = words.get(session, feedback_id) if _ID.fullmatch(feedback_id) else None
        if row is not None and to_change:
            words.hold(session, row.prediction_id)
            session.refresh(row)
        allowed = row is not None and (caller.allows("reviewer") or row.key_id == caller.key_id)
        if row is None or not allowed or row.status == feedback.WITHDRAWN:
            raise NotFound("There is no word by this id among those that you may see.")
        yield session, row


def _one(parts: Parts, caller: Caller, feedback_id: str) -> dict[str, Any]:
    with _visible(parts, caller, feedback_id) as (_, row):
        return speaking.told(row)


def _edit(parts: Parts, caller: Caller, feedback_id: str, edit: feedback_schemas.EditFeedback) -> None:
    with _visible(parts, caller, feedback_id, to_change=True) as (session, row):
        _refuse_others(edit)
        if row.processed_for_training:
            raise NotEditable("A training run used this word, so it stays as the run saw it.")
        if row.status == feedback.REPLACED:
            raise NotEditable("Another word came in the place of this one, which is history. Change the current one.")
        after = _checked_edit(edit)
        before = {name: getattr(row, name) for name in after}
        for name, value in after.items():
            setattr(row, name, value)
        if row.is_correct is None and not (row.ask_expert or row.user_comment or row.confidence_rating):
            raise NotEditable("Without this the word would say nothing. Withdraw it instead.")
        detail = {"before": before, "after": after}
        audit.record(session, actor=callers.actor(caller), action="feedback.edit", subject=feedback_id, detail=detail)


def _checked_edit(edit: feedback_schemas.EditFeedback) -> dict[str, Any]:
    comment, rating = checked_comment(edit.user_comment), checked_rating(edit.confidence_rating)
    values = {"user_comment": comment, "confidence_rating": rating}
    return {name: value for name, value in values.items() if name in edit.model_fields_set}


def _refuse_others(edit: feedback_schemas.EditFeedback) -> None:
    """Raise `NotEditable` for a column that stays as it is, `RequestInvalid` for what is no column or no change."""
    others = edit.model_extra or {}
    for name in others:
        if why := _why_not(name):
            raise NotEditable(f"{name} cannot be changed. {why}", field=name)
    if others or not edit.model_fields_set:
        raise RequestInvalid(f"What can be changed is: {', '.join(_SAID)}.")


def _why_not(name: str) -> str | None:
    if name in _USED:
        return "It says that a training run used this word."
    if name in _DERIVED:
        return "It follows from what was said and reviewed."
    if name in _WHOSE:
        return "It says whose word this is, when it was said and of what."
    claims = name in feedback_schemas.StoredFeedback.model_fields and name not in _SAID
    return (
        "It is what the person claims. Submit another word, which comes in the place of this one." if claims else None
    )


def _withdraw(parts: Parts, caller: Caller, feedback_id: str) -> None:
    with _visible(parts, caller, feedback_id, to_change=True) as (session, row):
        prediction = predictions.get(session, row.prediction_id)
        if prediction is None:
            raise NotFound
        feedback.withdraw(session, prediction, row, actor=callers.actor(caller))
