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
from leafloop.api import callers, schemas
from leafloop.crossing import in_thread
from leafloop.errors import NotEditable, NotFound, RequestInvalid
from leafloop.live import erasing
from leafloop.live.parts import Parts
from leafloop.live.submission import Sender, Submission, checked
from leafloop.storage import audit, predictions
from leafloop.storage.tables import Photo, Prediction

router = APIRouter(prefix="/api/v1/db/predictions", tags=["predictions"])

AnyKey = Annotated[Caller, Depends(callers.FIELD)]
Name = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]  # PostgreSQL takes no NUL in a text

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
    "captured_at": "It goes with the photo as it was sent; delete the photo and send it again.",
}
_BY_A_MODEL = "A model wrote it, or it describes the stored photo. Submit feedback to correct it."
_EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


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


@router.get("/{prediction_id}", response_model=schemas.StoredWithAnswer)
async def get_prediction(request: Request, caller: AnyKey, prediction_id: str) -> dict[str, Any]:
    """One kept answer, with the body that was sent."""
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
        "Content-Disposition": f'inline; filename="{prediction_id}.{_EXTENSIONS[kind]}"',
    }
    return (
        Response(status_code=304, headers=headers) if data is None else Response(data, media_type=kind, headers=headers)
    )


@router.patch("/{prediction_id}", response_model=schemas.Changed)
async def edit_prediction(request: Request, caller: AnyKey, prediction_id: str, edit: schemas.Edit) -> dict[str, Any]:
    """Set right what a person said: `user_location`, `consent`, `metadata`. Another column is 409 with the reason."""
    await in_thread(request, _edit, request.app.state.parts, caller, prediction_id, edit)
    return {"ok": True, "prediction_id": prediction_id}


@router.delete("/{prediction_id}", response_model=schemas.Deleted)
async def delete_prediction(request: Request, caller: AnyKey, prediction_id: str) -> dict[str, Any]:
    """Delete an answer and its photo for good, everywhere."""
    await in_thread(request, _delete, request.app.state.parts, caller, prediction_id)
    return {"ok": True, "deleted": prediction_id}


@contextmanager
def _visible(
    parts: Parts, caller: Caller, prediction_id: str, *, to_change: bool = False
) -> Iterator[tuple[Session, Prediction]]:
    """The row, in a transaction. Somebody else's is as absent as one that was never there: its id must not say more."""
    with parts.ledger.transaction() if to_change else parts.ledger.reading() as session:
        row = predictions.get(session, prediction_id) if _ID.fullmatch(prediction_id) else None
        if row is None or not (caller.allows("reviewer") or row.key_id == caller.key_id):
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
        return {**_columns(row), **said, "answer": row.answer}


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
        photo = predictions.photo_of(session, row)
        before, after = {}, _checked_edit(edit)
        if "metadata" in after:
            after["metadata"] = {**(row.metadata_ or {}), **(after["metadata"] or {})}
        for name, value in after.items():
            target, attribute = _place(name, row, photo)
            before[name] = getattr(target, attribute)
            setattr(target, attribute, value)
        detail = {"before": before, "after": after}
        audit.record(
            session, actor=callers.actor(caller), action="prediction.edit", subject=prediction_id, detail=detail
        )


def _place(name: str, row: Prediction, photo: Photo) -> tuple[Prediction | Photo, str]:
    if name == "consent":
        return photo, name
    return row, "metadata_" if name == "metadata" else name


def _refuse_others(edit: schemas.Edit) -> None:
    """Raise `NotEditable` for a column that stays as it is, `RequestInvalid` for what is no column or no change."""
    others = edit.model_extra or {}
    for name in others:
        if name in _WHY_NOT or name in schemas.StoredWithAnswer.model_fields:
            raise NotEditable(f"{name} cannot be changed. {_WHY_NOT.get(name, _BY_A_MODEL)}", field=name)
    if others or not edit.model_fields_set:
        raise RequestInvalid(f"What can be changed is: {', '.join(_SAID_BY_A_PERSON)}.")


def _checked_edit(edit: schemas.Edit) -> dict[str, Any]:
    """The new values, in the form that a submission brings them into."""
    values = {name: getattr(edit, name) for name in _SAID_BY_A_PERSON if name in edit.model_fields_set}
    if "user_location" in values:
        said = Submission(data=b"", user_location=values["user_location"])
        values["user_location"] = checked(said, Sender(None, "field")).user_location
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


def _delete(parts: Parts, caller: Caller, prediction_id: str) -> None:
    with _visible(parts, caller, prediction_id, to_change=True) as (session, row):
        detail = {"image_hash": row.image_hash, "user_id": row.user_id}
        objects = predictions.delete(session, prediction_id) or []
        audit.record(
            session, actor=callers.actor(caller), action="prediction.delete", subject=prediction_id, detail=detail
        )
    erasing.remove_objects(parts.ledger, parts.blobs, objects)


def _columns(row: Prediction) -> dict[str, Any]:
    """The older system's columns by their names, and ours."""
    same = (name for name in schemas.StoredPrediction.model_fields if name not in ("image_path", "metadata"))
    return {
        **{name: getattr(row, name) for name in same},
        "image_path": f"{router.prefix}/{row.id}/photo",
        "metadata": row.metadata_,
    }
