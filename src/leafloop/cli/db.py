"""`leafloop db`: the schema of the database."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from leafloop import settings
from leafloop.cli.output import Json, people, print_json, says_errors
from leafloop.storage.durable import make_folder
from leafloop.storage.ledger import Ledger

app = typer.Typer(
    no_args_is_help=True, help="Look at the database's schema, and move it up or down (docs/MIGRATIONS.md)."
)


def _any_schema() -> closing[Ledger]:
    """The ledger whatever its schema: these are the commands that mend it."""
    chosen = settings.load()
    make_folder(chosen.home, 0o700)
    return closing(Ledger(chosen.database))


def _say(ledger: Ledger, as_json: bool) -> None:
    state = {"revision": ledger.revision(), "newest": ledger.newest_revision()}
    if as_json:
        print_json(state)
    else:
        people.print(
            f"The schema is at {state['revision'] or 'nothing'}; this version knows {state['newest']}.", markup=False
        )


@app.command()
@says_errors
def status(as_json: Json = False) -> None:
    """Say which schema the database has, and which this version knows."""
    with _any_schema() as ledger:
        _say(ledger, as_json)


@app.command()
@says_errors
def upgrade(as_json: Json = False) -> None:
    """Bring the schema to the newest that this version knows. Safe to run twice, and by two machines at once."""
    with _any_schema() as ledger:
        ledger.upgrade()
        _say(ledger, as_json)


@app.command(context_settings={"ignore_unknown_options": True})  # so that -1 is a revision, not an option
@says_errors
def downgrade(
    revision: Annotated[str, typer.Argument(help="Where to go back to: a revision, -1 for one step, or base.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: what only the newer schema holds is lost.")] = False,
    as_json: Json = False,
) -> None:
    """Take the schema back. What only the newer schema can hold is lost: make a backup first."""
    if not yes:
        typer.confirm("Columns and tables that the older schema lacks are lost. Go on?", abort=True, err=True)
    with _any_schema() as ledger:
        ledger.downgrade(revision)
        _say(ledger, as_json)
