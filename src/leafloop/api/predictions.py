"""/db/predictions: kept answers and their photos, for who sent them and for reviewers. Judges no answer.

What may be changed is what a person said: where the photo was taken, whether it may be trained on, and
metadata (members are added to those that are there). Each change is in the audit log with the value before and after.
What a model wrote, and what says who sent it, stays as it is: 409.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from leafloop.access import Caller
from leafloop.api import callers, feedback_schemas, schemas
from leafloop.api.keeping_schemas import DeletedAnswer
from leafloop.crossing import in_thread
from leafloop.errors import NotEditable, NotFound, RequestInvalid
from leafloop.live import deleting, speaking
from leafloop.live.parts import Parts
from leafloop.live.submission import Sender, Submission, checked, coarse
from leafloop.storage import edits, predictions, words
from leafloop.storage.tables import Prediction
from leafloop.vision.kept import EXTENSIONS

router = APIRouter(prefix="/api/v1/db/predictions", tags=["predictions"])

AnyKey = Annotated[Caller, Depends(callers.FIELD)]
Name = Annotated[str | None, Query(max_length=200, pattern=schemas.NO_NUL)]

PHOTO_CACHE = (
    "private, max-age=3600"  # a photo never changes, but it can be deleted: an hour, and in the sender's browser alone
)
MAX_OFFSET = 2**31 - 1  # a list goes on by cursor; more than this is no number for a database
MAX_METADATA = 16 * 1024  # notes beside a photo, not another photo
_OF_THE_ANSWER = frozenset(
    {"leafloop", "precision", "tiles"}
)  # what `live.rows` writes there, to compute an answer again
_ID = re.compile(r"[0-9a-f-]{36}", re.ASCII)

_SAID_BY_A_PERSON = ("user_location", "metadata", "consent")
_WHY_NOT = {
    "id": "It is the name by which everything else refers to this answer.",
    "user_id": "It says whose answer this is; a photo sent under a wrong name is deleted and sent again.",
    "key_id": "It says whose answer this is.",
    "group": "It decides on which side of a split the photo falls; a photo in a wrong group is deleted and sent again.",
    "feedback": "A word is corrected by another word: submit feedback.",
    "reply": "A reviewer wrote it.",
    "captured_at": "It goes with the photo as it was sent; delete the photo and send it again.",
}
_BY_A_MODEL = "A model wrote it, or it describes the stored photo. Submit feedback to correct it."


@router.get("", response_model=schemas.StoredPredictions)
async def list_predictions(
    request: Request,
    caller: AnyKey,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    user_id: Name = None,
    predicted_class_name: Name = None,
    model_version: Name = None,
) -> dict[str, Any]:
    """Kept answers, newest first. A key of role `field` sees its own; `cursor` takes a page's `next_cursor`."""
    own = not caller.allows("reviewer")
    filters = predictions.Filters(
        user_id=user_id,
        predicted_class_name=predicted_class_name,
        model_version=model_version,
        key_id=caller.key_id if own else None,
        keyless=own and caller.key_id is None,
    )
    found = await in_thread(request, _page, request.app.state.parts, filters, limit=limit, offset=offset, cursor=cursor)
    return {**found, "limit": limit, "offset": offset}


@router.get("/{prediction_id}", response_model=feedback_schemas.StoredWithWords)
async def get_prediction(request: Request, caller: AnyKey, prediction_id: str) -> dict[str, Any]:
    """One kept answer, with the body that was sent, what was said of it, and a reviewer's reply."""
    return await in_thread(request, _whole, request.app.state.parts, caller, prediction_id)


@router.get("/{prediction_id}/photo", response_class=Response, responses={200: {"content": {"image/*": {}}}})
async def get_photo(
    request: Request, caller: AnyKey, prediction_id: str, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """The photo as it is kept: without place, camera or any other EXIF."""
    kind, etag, data = await in_thread(request, _photo, request.app.state.parts, caller, prediction_id, if_none_match)
    headers = {
        "ETag": etag,
        "Cache-Control": PHOTO_CACHE,
        "Content-Disposition": f'inline; filename="{prediction_id}.{EXTENSIONS[kind]}"',
    }
    return (
        Response(status_code=304, headers=headers) if data is None else Response(data, media_type=kind, headers=headers)
    )


@router.patch("/{prediction_id}", response_model=schemas.Changed)
async def edit_prediction(request: Request, caller: AnyKey, prediction_id: str, edit: schemas.Edit) -> dict[str, Any]:
    """Set right what a person said: `user_location`, `consent`, `metadata`. Another column is 409 with the reason."""
    await in_thread(request, _edit, request.app.state.parts, caller, prediction_id, edit)
    return {"ok": True, "prediction_id": prediction_id}


@router.delete("/{prediction_id}", response_model=DeletedAnswer)
async def delete_prediction(request: Request, caller: AnyKey, prediction_id: str) -> dict[str, Any]:
    """Delete an answer, its photo and what was said of it, everywhere but in frozen snapshots: `kept` says where and why."""
    kept = await in_thread(request, _delete, request.app.state.parts, caller, prediction_id)
    return {"ok": True, "deleted": prediction_id, "kept": kept}


@contextmanager
def _visible(
    parts: Parts, caller: Caller, prediction_id: str, *, to_change: bool = False
) -> Iterator[tuple[Session, Prediction]]:
    """The row, in a transaction. Somebody else's is as absent as one that was never there: its id must not say more."""
    with parts.ledger.transaction() if to_change else parts.ledger.reading() as session:
        row = predictions.get(session, prediction_id) if _ID.fullmatch(prediction_id) else None
        if row is None or not _may_see(caller, row):
            raise NotFound("There is no answer by this id among those that you may see.")
        yield session, row


def _page(parts: Parts, filters: predictions.Filters, *, limit: int, offset: int, cursor: str | None) -> dict[str, Any]:
    with parts.ledger.reading() as session:
        page = predictions.find(session, filters, limit=limit, offset=offset, cursor=cursor)
        return {"total": page.total, "items": [_columns(row) for row in page.items], "next_cursor": page.next_cursor}


def _whole(parts: Parts, caller: Caller, prediction_id: str) -> dict[str, Any]:
    with _visible(parts, caller, prediction_id) as (session, row):
        photo = predictions.photo_of(session, row)
        said = {"group": photo.group, "captured_at": photo.captured_at, "consent": photo.consent}
        return {**_columns(row), **said, "answer": row.answer, **_said_of_it(session, caller, row)}


def _said_of_it(session: Session, caller: Caller, row: Prediction) -> dict[str, Any]:
    everybodys = caller.allows("reviewer")
    seen = [word for word in words.current(session, row.id) if everybodys or word.key_id == caller.key_id]
    return {
        "feedback": [speaking.told(word) for word in seen],
        "reply": speaking.reply_told(words.reply(session, row.id)),
    }


def _photo(
    parts: Parts, caller: Caller, prediction_id: str, if_none_match: str | None
) -> tuple[str, str, bytes | None]:
    """Media type, entity tag and bytes; None instead of bytes that the caller already has."""
    with _visible(parts, caller, prediction_id) as (session, row):
        photo = predictions.photo_of(session, row)
        kind, key = photo.media_type, photo.stored_sha256
    etag = f'"{key}"'
    return kind, etag, None if if_none_match == etag else parts.blobs.get(key)


def _edit(parts: Parts, caller: Caller, prediction_id: str, edit: schemas.Edit) -> None:
    with _visible(parts, caller, prediction_id, to_change=True) as (session, row):
        _refuse_others(edit)
        after = _checked_edit(edit, parts.settings.location_decimals)
        if "metadata" in after:
            after["metadata"] = {**(row.metadata_ or {}), **(after["metadata"] or {})}
        edits.edit(session, row, after, actor=caller.actor)


def _refuse_others(edit: schemas.Edit) -> None:
    """Raise `NotEditable` for a column that stays as it is, `RequestInvalid` for what is no column or no change."""
    others = edit.model_extra or {}
    for name in others:
        if name in _WHY_NOT or name in feedback_schemas.StoredWithWords.model_fields:
            raise NotEditable(f"{name} cannot be changed. {_WHY_NOT.get(name, _BY_A_MODEL)}", field=name)
    if others or not edit.model_fields_set:
        raise RequestInvalid(f"What can be changed is: {', '.join(_SAID_BY_A_PERSON)}.")


def _checked_edit(edit: schemas.Edit, location_decimals: int) -> dict[str, Any]:
    """The new values, in the form that a submission brings them into."""
    values = {name: getattr(edit, name) for name in _SAID_BY_A_PERSON if name in edit.model_fields_set}
    if "user_location" in values:
        said = Submission(data=b"", user_location=values["user_location"])
        sent = checked(said, Sender(None, "field"))
        values["user_location"] = coarse(sent, location_decimals).user_location
    if values.get("metadata") is not None:
        _refuse_unkeepable(values["metadata"])
        for name in _OF_THE_ANSWER & values["metadata"].keys():
            raise NotEditable(
                f"metadata.{name} cannot be changed. It says how the answer was computed.", field="metadata"
            )
    return values


def _refuse_unkeepable(metadata: dict[str, Any]) -> None:
    """Raise `RequestInvalid` for what a database cannot keep: not-a-number, NUL, half a surrogate pair, too much."""
    try:
        text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (ValueError, RecursionError):  # UnicodeEncodeError is one of the former
        raise RequestInvalid("metadata holds a number or a text that is not plain JSON.", field="metadata") from None
    if "\\u0000" in text or size > MAX_METADATA:
        raise RequestInvalid(f"metadata is JSON without NUL, of at most {MAX_METADATA} bytes.", field="metadata")


def _delete(parts: Parts, caller: Caller, prediction_id: str) -> list[dict[str, Any]]:
    """What stays, and why."""
    if not _ID.fullmatch(prediction_id):
        raise NotFound("There is no answer by this id among those that you may see.")
    return deleting.delete(parts, prediction_id, may=lambda row: _may_see(caller, row), actor=callers.actor(caller))


def _may_see(caller: Caller, row: Prediction) -> bool:
    return caller.allows("reviewer") or row.key_id == caller.key_id


def _columns(row: Prediction) -> dict[str, Any]:
    """The older system's columns by their names, and ours."""
    same = (name for name in schemas.StoredPrediction.model_fields if name not in ("image_path", "metadata"))
    return {
        **{name: getattr(row, name) for name in same},
        "image_path": f"{router.prefix}/{row.id}/photo",
        "metadata": row.metadata_,
    }
