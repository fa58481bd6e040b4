"""docs/DATA_SCHEMA.md out of the tables: each table's docstring, each column with the comment beside it, and a diagram.

A column without a comment takes the meaning that its name has everywhere; one with neither is a mistake, and a test finds it.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Table, UniqueConstraint
from sqlalchemy.orm import Mapper

from leafloop.storage import tables

# Columns that mean the same in every table that has them.
EVERYWHERE = {
    "id": "the row's own name, random: it says nothing of when, who or how many",
    "created_at": "when the row was written",
    "image_hash": "SHA-256 of the photo's bytes as they were received: the photo's identity",
    "stored_sha256": "SHA-256 of the kept copy: its key in the object store",
    "user_id": "who it is by, believed only within the key",
    "key_id": "the key it came with; empty: without a key",
    "class_id": "number of the class in the taxonomy; empty: none",
    "class_name": "name of that class",
    "outcome": "the verdict in one word",
    "model_version": "version of the model that answered",
    "model_name": "name of that model",
    "actor": "who did it: a key (`key:ID`), `cli`, or the service itself",
    "prediction_id": "the answer it belongs to",
    "width": "in pixels, upright",
    "height": "in pixels, upright",
    "group": "what belongs together and falls on one side of a split",
    "metadata": "notes beside it, as plain data",
}
GROUPS = {
    "What is answered": ("photos", "predictions", "idempotency_keys", "uploads", "upload_pieces"),
    "What people say": ("feedback", "review_items", "reviews"),
    "What is made of it": ("training_data", "imports", "split_groups", "snapshots", "snapshot_photos", "tombstones"),
    "Models, and how they do": ("models", "live_models", "model_performance"),
    "Who, and what was done": ("api_keys", "audit_log"),
}


def page(do_not_edit: str) -> str:
    mappers = {mapper.local_table.name: mapper for mapper in tables.Base.registry.mappers}
    comments = _all_comments()
    lines = [
        "# Data dictionary\n",
        do_not_edit,
        "One schema for SQLite and PostgreSQL; moments are UTC, `json` is JSONB on PostgreSQL. The older system's columns are",
        "among these by their names. How long rows are kept: [RETENTION.md](RETENTION.md). How the schema is changed:",
        "[MIGRATIONS.md](MIGRATIONS.md).\n",
        "## How they hang together\n",
        "```mermaid",
        "erDiagram",
        *_diagram(mappers),
        "```\n",
        "Dotted: no foreign key, but the same photo by its hash, or the same answer by its id: what a frozen snapshot names has to",
        "outlive the row that it came from.\n",
    ]
    grouped = {name for names in GROUPS.values() for name in names}
    others = sorted(mappers.keys() - grouped)
    for title, names in {**GROUPS, **({"Others": tuple(others)} if others else {})}.items():
        lines.append(f"## {title}\n")
        for name in names:
            lines += _table(mappers[name], comments)
    return "\n".join(lines).rstrip() + "\n"


def meanings(mapper: Mapper[Any], comments: dict[tuple[str, str], str]) -> dict[str, str]:
    """What each column of a table means; empty where nobody has said it."""
    return {
        attribute.columns[0].name: comments.get((mapper.class_.__name__, attribute.key))
        or EVERYWHERE.get(attribute.columns[0].name, "")
        for attribute in mapper.column_attrs
    }


def without_meaning() -> list[str]:
    """Columns that say nothing of themselves."""
    comments = _all_comments()
    return [
        f"{mapper.local_table.name}.{column}"
        for mapper in tables.Base.registry.mappers
        for column, meaning in meanings(mapper, comments).items()
        if not meaning
    ]


def _all_comments() -> dict[tuple[str, str], str]:
    modules = Path(tables.__file__).parent.glob("*.py")
    return {place: text for module in modules for place, text in _comments(module.read_text("utf-8")).items()}


def _comments(source: str) -> dict[tuple[str, str], str]:
    """(class, attribute) -> the comments on the lines of its definition."""
    on_line: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            text = token.string.lstrip("# ")
            on_line[token.start[0]] = text.partition("type: ignore")[0].partition("noqa")[0].strip()
    return {
        (kind.name, field.target.id): " ".join(
            filter(None, map(on_line.get, range(field.lineno, field.end_lineno + 1)))
        )
        for kind in ast.parse(source).body
        if isinstance(kind, ast.ClassDef)
        for field in kind.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.end_lineno
    }


def _table(mapper: Mapper[Any], comments: dict[tuple[str, str], str]) -> Iterator[str]:
    table = mapper.local_table
    assert isinstance(table, Table)
    yield f"### {table.name}\n"
    yield " ".join((mapper.class_.__doc__ or "").split()) + "\n"
    yield "| column | type | empty | default | key | meaning |"
    yield "|---|---|---|---|---|---|"
    said = meanings(mapper, comments)
    for column in table.columns:
        empty = "may be" if column.nullable else "no"
        facts = (_type(column), empty, _default(column), _keys(column), _safe(said[column.name]))
        yield f"| `{column.name}` | {' | '.join(facts)} |"
    rules = sorted(_rules(table))
    if rules:
        yield ""
        yield from (f"- {rule}" for rule in rules)
    yield ""


def _type(column: Column[Any]) -> str:
    name = column.type.__class__.__name__
    length = getattr(column.type, "length", None)
    plain = {"UtcDateTime": "moment", "JSON": "json", "String": "text", "Text": "text", "LargeBinary": "bytes"}
    return plain.get(name, name.lower()) + (f" ≤ {length}" if length else "")


def _default(column: Column[Any]) -> str:
    if column.default is None:
        return "-"
    value = column.default.arg if column.default.is_scalar else None  # type: ignore[union-attr]
    if value is None:
        return {"now": "now", "new_id": "random"}.get(getattr(column.default.arg, "__name__", ""), "made")  # type: ignore[union-attr]
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _keys(column: Column[Any]) -> str:
    words = ["primary"] if column.primary_key else []
    for foreign in column.foreign_keys:
        if len(foreign.constraint.columns) == 1:  # type: ignore[union-attr]  # those of several columns are rules of the table
            gone = {"CASCADE": ", goes with it", "SET NULL": ", emptied with it"}.get(foreign.ondelete or "", "")
            words.append(f"→ `{foreign.target_fullname}`{gone}")
    words += ["unique"] if column.unique else []
    words += ["index"] if column.index and not column.unique else []
    return "; ".join(words) or "-"


def _rules(table: Table) -> Iterator[str]:
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint):
            yield f"always `{_safe(str(constraint.sqltext))}`"
        elif isinstance(constraint, UniqueConstraint):
            yield (
                f"unique together: {_names(constraint.columns)}"
                if len(constraint.columns) > 1
                else f"unique: {_names(constraint.columns)}"
            )
        elif isinstance(constraint, ForeignKeyConstraint) and len(constraint.columns) > 1:
            there = ", ".join(f"`{element.target_fullname}`" for element in constraint.elements)
            yield f"{_names(constraint.columns)} → {there}, together"
    for index in table.indexes:
        if len(index.columns) > 1:
            yield f"index: {_names(index.columns)}"


def _names(columns: Any) -> str:
    return ", ".join(f"`{column.name}`" for column in columns)


def _safe(text: str) -> str:
    return text.replace("|", "\\|")


def _diagram(mappers: dict[str, Mapper[Any]]) -> Iterator[str]:
    for name, mapper in sorted(mappers.items()):
        table = mapper.local_table
        assert isinstance(table, Table)
        for constraint in sorted(table.foreign_key_constraints, key=lambda one: str(one.name)):
            one = "|o" if any(column.nullable for column in constraint.columns) else "||"
            only = all(column.unique for column in constraint.columns)
            many = "o|" if only else "o{"
            yield f'    {constraint.referred_table.name} {one}--{many} {name} : "{", ".join(c.name for c in constraint.columns)}"'
    yield '    photos }o..o| training_data : "sha256 = image_hash"'
    yield '    training_data |o..o{ snapshot_photos : "image_hash"'
    yield '    snapshot_photos |o..o| tombstones : "image_hash"'
    yield '    predictions |o..o| idempotency_keys : "prediction_id"'
    yield '    predictions |o..o| uploads : "prediction_id"'
