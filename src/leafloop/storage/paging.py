"""A list in pages, newest first, that goes on where it was also when rows come in meanwhile. Knows no table.

The table has a column `id`, and one for its moment. A cursor is the last row's moment and id, so that equal moments are told apart.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from leafloop.errors import RequestInvalid

Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """A part of a list. `next_cursor` leads on; None: this is the end."""

    total: int
    items: Sequence[Row]
    next_cursor: str | None


def find(
    session: Session,
    table: type[Row],
    wanted: Sequence[ColumnElement[bool]],
    *,
    limit: int,
    offset: int = 0,
    cursor: str | None = None,
    moment: str = "timestamp",
) -> Page[Row]:
    """Rows, newest first. With a `cursor` from an earlier page `offset` is not looked at. Raises `RequestInvalid`."""
    columns: Any = table
    when = getattr(columns, moment)
    total = session.scalar(select(func.count()).select_from(table).where(*wanted)) or 0
    chosen = select(table).where(*wanted)
    chosen = chosen.where(_older_than(when, columns.id, *_read(cursor))) if cursor else chosen.offset(offset)
    found = session.scalars(chosen.order_by(when.desc(), columns.id.desc()).limit(limit + 1)).all()
    items = found[:limit]
    return Page(total, items, _written(getattr(items[-1], moment), items[-1]) if len(found) > limit else None)


def _older_than(when: Any, ids: Any, moment: datetime, row_id: str) -> ColumnElement[bool]:
    return or_(when < moment, and_(when == moment, ids < row_id))


def _written(moment: datetime, last: Any) -> str:
    return base64.urlsafe_b64encode(f"{moment.isoformat()} {last.id}".encode()).decode()


def _read(cursor: str) -> tuple[datetime, str]:
    try:
        text, row_id = base64.urlsafe_b64decode(cursor.encode("ascii")).decode("ascii").split(" ")
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return moment, row_id
    except (ValueError, binascii.Error):
        raise RequestInvalid("cursor is not one that a list gave. Begin again without it.", field="cursor") from None
