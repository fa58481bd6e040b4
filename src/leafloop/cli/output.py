"""How every command speaks: data on stdout, the rest on stderr, one exit code a kind of ending."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from leafloop.errors import ConfigurationInvalid, LeafloopError, ReadOnly, SchemaUnknown

OK, FAILED, USAGE, GATE_HELD, CONFIGURATION = 0, 1, 2, 3, 78  # 78 is EX_CONFIG of sysexits.h

P = ParamSpec("P")
R = TypeVar("R")

people = Console(stderr=True, highlight=False, soft_wrap=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def says_errors(command: Callable[P, R]) -> Callable[P, R]:
    """End a command with a clear line and the right exit code when a `LeafloopError` comes out of it."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except LeafloopError as error:
            people.print(f"[bold red]{error.code}[/]", end=" ")
            people.print(error.detail, markup=False)
            wrong_setup = isinstance(error, ConfigurationInvalid | SchemaUnknown | ReadOnly)
            raise typer.Exit(CONFIGURATION if wrong_setup else FAILED) from error

    return wrapped


def print_json(value: object) -> None:
    """One JSON value on one line of stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """Rows as a table for people on stdout, or one sentence that says that there are none and what to do."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    if table.row_count:
        Console(highlight=False).print(table)
    else:
        people.print(empty, markup=False)


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "-" if value is None else str(value)
