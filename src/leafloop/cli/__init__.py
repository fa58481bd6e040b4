"""The command `leafloop`: one small module a command group, no rules of its own.

Exit codes: 0 ok, 1 failed or rejected, 2 usage, 3 the gate held, 78 configuration.
"""

from __future__ import annotations

from typing import Annotated

import typer

from leafloop import __version__, log
from leafloop.cli import data, db, demo, doctor, feedback, keys, models, predict, serve

app = typer.Typer(
    name="leafloop",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # a traceback with local values could show a secret
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find leaf disease in photos, learn from the people who use it.\n\n"
    "Begin with [bold]leafloop serve[/] (the service and its pages) or [bold]leafloop predict PHOTO[/] (an answer right here). "
    "Settings are environment variables: see docs/ENVIRONMENT.md. [bold]leafloop doctor[/] says what is wrong and how to mend it.",
)
app.command()(serve.serve)
app.command()(predict.predict)
app.add_typer(feedback.app, name="feedback")
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(keys.app, name="keys")
app.add_typer(db.app, name="db")
app.command()(doctor.doctor)
app.add_typer(demo.app, name="demo")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"leafloop {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the command itself."""
    log.set_up("WARNING")  # to stderr, from the first line on; `serve` sets up what the settings say


def main() -> None:
    """Run the command line (the entry point of the package)."""
    app()
