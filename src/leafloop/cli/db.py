"""`leafloop db`: the schema of the database, and sweeping up."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from leafloop import settings
from leafloop.cli.output import Json, people, print_json, says_errors
from leafloop.live import parts as live_parts
from leafloop.live.sweeping import Sweepable
from leafloop.live.sweeping import sweep as sweep_up
from leafloop.storage.blobs import open_blobs
from leafloop.storage.durable import make_folder
from leafloop.storage.ledger import Ledger

app = typer.Typer(
    no_args_is_help=True,
    help="Look at the database's schema, move it up or down (docs/MIGRATIONS.md), and sweep up leftovers.",
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


@app.command()
@says_errors
def sweep(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what interrupted work left behind and no row names. A service that runs does it every hour by itself."""
    chosen = settings.load()
    with closing(live_parts.open_ledger(chosen)) as ledger:
        place = Sweepable(ledger, open_blobs(chosen.blobs), live_parts.cache_of(chosen))
        swept = asdict(sweep_up(place, dry_run=dry_run))
    if as_json:
        print_json(swept | {"dry_run": dry_run})
        return
    found = "{objects} objects, {drafts} drafts, {uploads} uploads and {keys} Idempotency-Keys".format_map(swept)
    people.print(f"{found} {'would be' if dry_run else 'were'} removed.", markup=False)
