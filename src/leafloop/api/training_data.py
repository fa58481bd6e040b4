"""/db/training-data: labels and their photos, for reviewers. Judges no photo.

What a person said may be set right: outcome, class, boxes, whether it is trained on, as a new revision with the one before in the
audit log. A snapshot that was made keeps what it says. What was measured, what says where a label came from, and what a snapshot
has used to choose its sides, stays as it is: 409.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from leafloop.access import Caller
from leafloop.api import callers
from leafloop.api import label_schemas as shapes
from leafloop.api.predictions import MAX_OFFSET, PHOTO_CACHE
from leafloop.api.schemas import NO_NUL, Deleted
from leafloop.crossing import in_thread
from leafloop.errors import LabelConflict, NotEditable, NotFound, RequestInvalid, StillInUse
from leafloop.learning.labels import correcting
from leafloop.learning.labels import labelling as making
from leafloop.live import reviewing
from leafloop.live.parts import Parts
from leafloop.live.submission import Sender, Submission, checked
from leafloop.storage import labels, named
from leafloop.storage.tables import TrainingData
from leafloop.vision.kept import EXTENSIONS

router = APIRouter(prefix="/api/v1/db/training-data", tags=["training data"])

AnyReviewer = Annotated[Caller, Depends(callers.REVIEW)]
Name = Annotated[str | None, Query(max_length=200, pattern=NO_NUL)]
_ID = re.compile(r"[0-9a-f-]{36}", re.ASCII)

_WHY_NOT = {
    "id": "It is the name by which everything else refers to this label.",
    "image_hash": "It says which photo this is.",
    "image_path": "It says which photo this is.",
    "source": "It says where the label came from.",
    "source_id": "It says where the label came from.",
    "feedback_ids": "They are the words that a review settled.",
    "dataset_split": "A snapshot chose it for the photo's group, and a photo never changes its side.",
    "validated_by": "It says who made the label; a correction puts the one who corrects.",
    "validated_at": "It says when the label was made; a correction puts its own time.",
    "added_date": "It says when the label was made.",
    "strength": "It follows from bbox_data.",
    "class_id": "It follows from class_name.",
    "user_id": "It says whose photo this is.",
    "may_test": "It says whether the photo's group is known for sure, which an import told.",
}
_MEASURED = "It was measured from the photo, or describes it."


@router.get("", response_model=shapes.StoredLabels)
async def list_labels(
    request: Request,
    _caller: AnyReviewer,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    class_name: Name = None,
    source: Name = None,
    dataset_split: Name = None,
) -> dict[str, Any]:
    """Labels, newest first; `cursor` takes a page's `next_cursor`."""
    filters = labels.Filters(class_name=class_name, source=source, dataset_split=dataset_split)
    found = await in_thread(request, _page, request.app.state.parts, filters, limit=limit, offset=offset, cursor=cursor)
    return {**found, "limit": limit, "offset": offset}


@router.get("/{label_id}", response_model=shapes.StoredLabel)
async def get_label(request: Request, _caller: AnyReviewer, label_id: str) -> dict[str, Any]:
    """One label."""
    return await in_thread(request, _whole, request.app.state.parts, label_id)


@router.get("/{label_id}/photo", response_class=Response, responses={200: {"content": {"image/*": {}}}})
async def get_label_photo(
    request: Request, _caller: AnyReviewer, label_id: str, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """The photo that a label is about."""
    kind, key, data = await in_thread(request, reviewing.label_photo, request.app.state.parts, _checked(label_id))
    headers = {
        "ETag": f'"{key}"',
        "Cache-Control": PHOTO_CACHE,
        "Content-Disposition": f'inline; filename="{label_id}.{EXTENSIONS[kind]}"',
    }
    if if_none_match == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=kind, headers=headers)


@router.patch("/{label_id}", response_model=shapes.LabelChanged)
async def edit_label(request: Request, caller: AnyReviewer, label_id: str, edit: shapes.LabelEdit) -> dict[str, Any]:
    """Correct a label: `outcome`, `class_name`, `bbox_data`, `is_validated`, `group`. Another column is 409 with the reason.
    `revision` says which one you saw: 409 if somebody has changed it since."""
    await in_thread(request, _edit, request.app.state.parts, caller, label_id, edit)
    return {"ok": True, "id": label_id}


@router.delete("/{label_id}", response_model=Deleted)
async def delete_label(request: Request, caller: AnyReviewer, label_id: str) -> dict[str, Any]:
    """Delete a label; what it said stays in the audit log. 409 for one that a snapshot holds. A photo that nothing else needs is
    swept within a day."""
    await in_thread(request, _delete, request.app.state.parts, caller, label_id)
    return {"ok": True, "deleted": label_id}


@contextmanager
def _label(parts: Parts, label_id: str, *, to_change: bool = False) -> Iterator[tuple[Session, TrainingData]]:
    with parts.ledger.transaction() if to_change else parts.ledger.reading() as session:
        row = labels.get(session, _checked(label_id))
        if (
            row is not None and to_change
        ):  # two at once change it one after the other, and the second sees what the first said
            named.hold(session, row.image_hash)
            row = labels.get(session, label_id, fresh=True)
        if row is None:
            raise NotFound("There is no label by this id.")
        yield session, row


def _checked(label_id: str) -> str:
    if not _ID.fullmatch(label_id):
        raise NotFound("There is no label by this id.")
    return label_id


def _page(parts: Parts, filters: labels.Filters, *, limit: int, offset: int, cursor: str | None) -> dict[str, Any]:
    with parts.ledger.reading() as session:
        page = labels.find(session, filters, limit=limit, offset=offset, cursor=cursor)
        return {"total": page.total, "items": [_columns(row) for row in page.items], "next_cursor": page.next_cursor}


def _whole(parts: Parts, label_id: str) -> dict[str, Any]:
    with _label(parts, label_id) as (_, row):
        return _columns(row)


def _edit(parts: Parts, caller: Caller, label_id: str, edit: shapes.LabelEdit) -> None:
    with _label(parts, label_id, to_change=True) as (session, row):
        _refuse_others(edit)
        said = {name: getattr(edit, name) for name in edit.model_fields_set}
        _refuse_stale(row, said.pop("revision", None))
        if said.get("bbox_data") is not None:
            said["bbox_data"] = [drawn.model_dump() for drawn in said["bbox_data"]]
        if "group" in said:
            said["group"] = checked(Submission(data=b"", group=said["group"]), Sender(None, "field")).group
        who = reviewing.reviewer(caller.key_id, caller.label)
        correcting.correct(session, parts.taxonomy, row, said, who)


def _refuse_others(edit: shapes.LabelEdit) -> None:
    """Raise `NotEditable` for a column that stays as it is, `RequestInvalid` for what is no column or no change."""
    others = edit.model_extra or {}
    for name in others:
        if name in _WHY_NOT or name in shapes.StoredLabel.model_fields:
            raise NotEditable(f"{name} cannot be changed. {_WHY_NOT.get(name, _MEASURED)}", field=name)
    if others or not edit.model_fields_set - {"revision"}:
        changeable = (name for name in shapes.LabelEdit.model_fields if name != "revision")
        raise RequestInvalid(f"What can be changed is: {', '.join(changeable)}.")


def _refuse_stale(row: TrainingData, revision: int | None) -> None:
    if revision is not None and revision != row.revision:
        raise LabelConflict


def _delete(parts: Parts, caller: Caller, label_id: str) -> None:
    with _label(parts, label_id, to_change=True) as (session, row):
        if (snapshot := labels.in_snapshot(session, row.image_hash)) is not None:
            raise StillInUse(
                f"Snapshot {snapshot[:12]} holds this photo, so its label stays. Send is_validated: false with PATCH to "
                "leave it out of the next ones."
            )
        making.remove(session, row, actor=callers.actor(caller), why="deleted by hand")


def _columns(row: TrainingData) -> dict[str, Any]:
    """The older system's columns by their names, and ours."""
    same = (name for name in shapes.StoredLabel.model_fields if name not in ("image_path", "metadata"))
    return {
        **{name: getattr(row, name) for name in same},
        "image_path": f"{router.prefix}/{row.id}/photo",
        "metadata": row.metadata_,
    }
