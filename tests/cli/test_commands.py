"""What holds for every command: help that teaches, exit codes, JSON on stdout."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import typer
from tests.cli.conftest import Leafloop

from leafloop import __version__
from leafloop.cli import app


def _all(command: Any, name: str = "leafloop") -> list[tuple[str, Any]]:
    context = command.context_class(command, info_name=name)
    below = [
        (child, command.get_command(context, child))
        for child in getattr(command, "list_commands", lambda _: ())(context)
    ]
    return [(name, command), *(pair for child, sub in below for pair in _all(sub, f"{name} {child}"))]


COMMANDS = _all(typer.main.get_command(app))


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_and_option_has_help(name: str, command: Any) -> None:
    assert command.help
    assert len(command.help) > 20, name
    for parameter in command.params:
        record = getattr(parameter, "help", None)
        assert record, f"{name}: {parameter.name} has no help"


def test_the_version_is_the_packages(leafloop: Leafloop) -> None:
    assert leafloop("--version").out == f"leafloop {__version__}\n"


def test_no_word_at_all_shows_the_help(leafloop: Leafloop) -> None:
    done = leafloop()
    assert "serve" in done.out + done.err
    assert done.code == 2


def test_an_unknown_command_is_a_usage_error(leafloop: Leafloop) -> None:
    assert leafloop("sing").code == 2


def test_a_command_imports_what_it_needs_and_no_web_server() -> None:
    look = "import sys; from leafloop.cli import app; app(['keys', '--help'], standalone_mode=False); print('fastapi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False"
