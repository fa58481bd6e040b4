"""Write the generated pages, or say which are stale (`--check`). `make docs` runs it; a test runs the check.

docs/ENVIRONMENT.md, .env.example   from settings.py
docs/ERRORS.md                      from errors.py and the status table of api/problems.py
docs/CLI.md                         from the commands' own help
docs/DATA_SCHEMA.md                 from the tables and the comments beside their columns (data_schema.py)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import data_schema
import typer

import leafloop
from leafloop import errors, settings
from leafloop.api import problems
from leafloop.cli import app

ROOT = Path(__file__).resolve().parent.parent
DO_NOT_EDIT = "<!-- Written by `make docs`: change the code, not this page. -->\n"


def _default(name: str) -> str:
    value = settings.Settings.model_fields[name].default
    return "" if value in (None, "") else str(value)


def _fields() -> Iterator[tuple[str, str, str, str]]:
    """Variable, default, components that use it, and help of every setting."""
    for name, field in settings.Settings.model_fields.items():
        extra: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        variable = settings.PREFIX + name.upper()
        yield variable, _default(name), ", ".join(extra["used_by"]), field.description or ""


def environment() -> str:
    lines = [
        "# Environment\n",
        DO_NOT_EDIT,
        "Every setting is an environment variable; a `.env` file in the working folder is read too, and the environment wins.",
        "None is required: every default works. A value that cannot be used, or a misspelt `LEAFLOOP_` name, ends the start",
        "with exit code 78 and the variable's name. `leafloop doctor` says what is in force.\n",
        "| variable | required | default | used by | what it is |",
        "|---|---|---|---|---|",
    ]
    for variable, default, used_by, text in _fields():
        secret = (
            " Secret: may come from a file named by `" + variable + "_FILE`."
            if settings.is_secret(_field(variable))
            else ""
        )
        lines.append(
            f"| `{variable}` | optional | {f'`{default}`' if default else '-'} | {used_by} | {text}.{secret} |"
        )
    lines += [
        "\n`used by`: `all` is every command; other words are the commands of `leafloop`.\n",
        "## Read as well\n",
        "| variable | used by | what it is |",
        "|---|---|---|",
        "| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, ... "
        "| all, with `s3://` objects | the standard names |",
        "\n## The older system's names\n",
        "They count where ours is not set.\n",
        "| older | ours |",
        "|---|---|",
        *(f"| `{older}` | `{ours}` |" for older, ours in settings.OLDER_NAMES.items()),
    ]
    return "\n".join(lines) + "\n"


def _field(variable: str) -> str:
    return variable.removeprefix(settings.PREFIX).lower()


def example() -> str:
    lines = [
        "# Copy to .env and change what you need; every line is optional. Never commit .env. Written by `make docs`."
    ]
    for variable, default, _, text in _fields():
        lines += [f"# {text}.", f"#{variable}={default}"]
    return "\n".join(lines) + "\n"


def error_codes() -> str:
    lines = [
        "# Errors\n",
        DO_NOT_EDIT,
        "Errors are RFC 9457 problem documents (`application/problem+json`) with a stable `code`; `detail` says what, why and what",
        "to do. Where `Retry-After` stands, the same request may be sent again after so many seconds.\n",
        "| code | status | Retry-After | what it says |",
        "|---|---|---|---|",
    ]
    for kind in _leaves(errors.LeafloopError):
        wait = "-" if kind.retry_after_s is None else f"{kind.retry_after_s} s"
        lines.append(
            f"| `{kind.code}` | {problems.status_of(kind)} | {wait} | {' '.join((kind.__doc__ or '').split())} |"
        )
    return "\n".join(lines) + "\n"


def _leaves(kind: type[errors.LeafloopError]) -> Iterator[type[errors.LeafloopError]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for one in below:
        yield from _leaves(one)


def commands() -> str:
    root = typer.main.get_command(app)
    lines = [
        "# Command line\n",
        DO_NOT_EDIT,
        "Data goes to stdout, the rest to stderr. Exit codes: 0 ok, 1 failed or rejected, 2 usage, 3 the gate held,",
        "78 configuration.\n",
    ]
    for name, command in _walk(root, "leafloop"):
        context = command.context_class(command, info_name=name)
        lines += [f"## {name}\n", (command.help or "").replace("[bold]", "`").replace("[/]", "`").strip() + "\n"]
        rows = [row for parameter in command.get_params(context) if (row := parameter.get_help_record(context))]
        lines += ["| option | |", "|---|---|", *(f"| `{_cell(left)}` | {_cell(right)} |" for left, right in rows), ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    here = str(Path(leafloop.__file__).parent)  # a default inside the package is no path of this machine
    return " ".join(text.split()).replace("|", "\\|").replace(here, "PACKAGE")


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command and all below it. Typer brings a click of its own, whose classes have no public name."""
    yield name, command
    if hasattr(command, "list_commands"):
        context = command.context_class(command, info_name=name)
        for child in sorted(command.list_commands(context)):
            yield from _walk(command.get_command(context, child), f"{name} {child}")


PAGES: dict[str, Callable[[], str]] = {
    "docs/ENVIRONMENT.md": environment,
    ".env.example": example,
    "docs/ERRORS.md": error_codes,
    "docs/CLI.md": commands,
    "docs/DATA_SCHEMA.md": partial(data_schema.page, DO_NOT_EDIT),
}


def main(check: bool) -> int:
    stale = [
        name
        for name, write in PAGES.items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text("utf-8") != write()
    ]
    for name in stale if not check else []:
        (ROOT / name).write_text(PAGES[name](), "utf-8")
    if stale:
        print(f"{'stale' if check else 'written'}: {', '.join(stale)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
