"""The command line in processes of its own, without the seconds that its imports take: one process has imported everything and
forks for each command, which has its own folder, environment, stdout, stderr and exit code."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn


class Commands:
    """Runs one command after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, words: list[str], folder: Path, environ: Mapping[str, str]) -> tuple[int, str, str]:
        """Its exit code (minus the signal's number, where a signal ended it), stdout and stderr."""
        with tempfile.TemporaryDirectory() as place:
            said = {"out": f"{place}/out", "err": f"{place}/err"}
            order = {"words": words, "folder": str(folder), "environ": dict(environ), **said}
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            return code, Path(said["out"]).read_text(), Path(said["err"]).read_text()


@contextmanager
def commands() -> Iterator[Commands]:
    """The process that forks, for as long as the block lasts."""
    command = [sys.executable, "-m", "tests.commands"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Commands(process)
        process.communicate()  # its stdin is closed: it ends


def _serve() -> None:
    from leafloop import cli

    for name in cli.COMMANDS:
        importlib.import_module(f"leafloop.cli.{name}")
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(order: dict[str, Any]) -> NoReturn:
    from leafloop import cli

    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["folder"])
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, order["out"], os.O_WRONLY),
        (2, order["err"], os.O_WRONLY),
    ):
        os.dup2(os.open(path, flags | os.O_CREAT | os.O_CLOEXEC), descriptor)
    sys.argv = ["leafloop", *order["words"]]
    cli.main()
    sys.exit()


if __name__ == "__main__":
    _serve()
