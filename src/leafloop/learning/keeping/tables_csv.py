"""Answers, words and labels as CSV, row by row, that no spreadsheet takes for a formula. Knows no file.

A cell that begins with `=`, `+`, `-`, `@`, also in full width, a tab or a line's end is a formula to Excel, LibreOffice and others
(OWASP, "CSV Injection"), and where the system's list separator is `;` or a tab, what stands after one begins a cell of its own,
whatever the quotes: such a text gets an apostrophe there. Every text is quoted, and a number stays a number.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TextIO

from sqlalchemy import Select, and_, inspect, or_, select

from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Base, Feedback, Prediction, TrainingData

# Where a cell can begin: at the text's begin, after another country's separator or a line's end; spaces and quotes may follow.
_FORMULA = re.compile(r"""(^|[;|\t\r\n])((?:[^\S\t\r\n]|")*)(?=[=+\-@＝＋－＠])""")
PAGE = 1000  # rows in memory at once
BOM = "\ufeff"  # by which Excel knows UTF-8

# Kind -> the table, the moment by which it is listed, and what is left out: `answer` says all once more, nested.
KINDS: dict[str, tuple[type[Base], str, frozenset[str]]] = {
    "predictions": (Prediction, "timestamp", frozenset({"answer"})),
    "feedback": (Feedback, "timestamp", frozenset()),
    "labels": (TrainingData, "added_date", frozenset()),
}


def write(ledger: Ledger, kind: str, out: TextIO, *, since: datetime | None = None, bom: bool = False) -> int:
    """Write a table, oldest first, with its columns' names as the first line. How many rows."""
    table, _, left_out = KINDS[kind]
    columns = {a.columns[0].name: a.key for a in inspect(table).column_attrs if a.key not in left_out}
    if bom:
        out.write(BOM)
    lines = csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_NONNUMERIC)  # RFC 4180
    lines.writerow(columns)
    count = 0
    for row in _rows(ledger, kind, since):
        lines.writerow([cell(getattr(row, attribute)) for attribute in columns.values()])
        count += 1
    return count


def cell(value: Any) -> str | int | float:
    """A value as a cell: text that cannot run, numbers as they are, lists and objects as JSON, nothing as an empty cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = _FORMULA.sub(r"\1'\2", text)
    return f"'{text}" if text.startswith(("\t", "\r", "\n")) else text


def _rows(ledger: Ledger, kind: str, since: datetime | None) -> Iterator[Any]:
    """Page by page, each in a transaction of its own: a long export holds up nobody, and sees no row twice."""
    table, moment, _ = KINDS[kind]
    order: tuple[Any, Any] = (getattr(table, moment), table.id)  # type: ignore[attr-defined]  # each of them has one
    after: tuple[Any, Any] | None = None
    while True:
        with ledger.reading() as session:
            page = session.scalars(_page(table, order, after, since)).all()
        yield from page
        if len(page) < PAGE:
            return
        after = (getattr(page[-1], moment), page[-1].id)


def _page(
    table: type[Base], order: tuple[Any, Any], after: tuple[Any, Any] | None, since: datetime | None
) -> Select[Any]:
    at, row_id = order
    chosen: Select[Any] = select(table)
    if since is not None:
        chosen = chosen.where(at >= since)
    if after is not None:
        chosen = chosen.where(or_(at > after[0], and_(at == after[0], row_id > after[1])))
    return chosen.order_by(at, row_id).limit(PAGE)
