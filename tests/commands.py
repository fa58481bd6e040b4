"""The command line in processes of its own, without the seconds that its imports take: one process has imported everything and
forks for each command, which has its own folder, environment, stdout, stderr and exit code."""

from __future__ import annotations

import atexit
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Done:
    """How a command ended. `code`: minus the signal's number, where a signal ended it."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@cache
def _forking() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.commands"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.communicate)  # closes its stdin: it ends
    return process


def leafloop(words: Iterable[str | Path], environ: Mapping[str, str], folder: Path) -> Done:
    """`leafloop ...` in a process of its own, however it ends."""
    process = _forking()
    assert process.stdin is not None
    assert process.stdout is not None
    with tempfile.TemporaryDirectory() as place:
        said = {"out": f"{place}/out", "err": f"{place}/err"}
        order = {"words": list(map(str, words)), "folder": str(folder), "environ": dict(environ), **said}
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        return Done(code, Path(said["out"]).read_text(), Path(said["err"]).read_text())


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
