"""The command `leafloop`: one small module a command group, no rules of its own.

Exit codes: 0 ok, 1 failed or rejected, 2 usage, 3 the gate held, 78 configuration.
"""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from leafloop import __version__, log

COMMANDS = ("serve", "predict", "feedback", "models", "data", "keys", "db", "doctor", "demo")  # as the help lists them


class _OnDemand(TyperGroup):
    """Imports a command's module when it is asked for: a list of keys waits for no web server to be imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        return _command(cmd_name) if cmd_name in COMMANDS else None


def _command(name: str) -> Any:
    """A module `cli/NAME.py` holds a group, `app`, or one command, the function NAME."""
    module = importlib.import_module(f"leafloop.cli.{name}")
    if hasattr(module, "app"):
        group = typer.main.get_group(module.app)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False)
    alone.command(name)(getattr(module, name))
    return typer.main.get_command(alone)


app = typer.Typer(
    name="leafloop",
    cls=_OnDemand,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # a traceback with local values could show a secret
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find leaf disease in photos, learn from the people who use it.\n\n"
    "Begin with [bold]leafloop serve[/] (the service and its pages) or [bold]leafloop predict PHOTO[/] (an answer right here). "
    "Settings are environment variables: see docs/ENVIRONMENT.md. [bold]leafloop doctor[/] says what is wrong and how to mend it.",
)


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
