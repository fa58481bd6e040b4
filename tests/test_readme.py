"""The README's commands are run as they stand there, against a service that `make run` would start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
# What is not run here: it sets up environments, takes hours, or the test itself stands for it.
NOT_RUN = ("make run", "make test", "make train-env", "train-bundled")


def _commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]
    return [line for line in lines if not any(word in line for word in NOT_RUN)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The service on a home of its own; gives the environment that the README's commands run in."""
    home = tmp_path_factory.mktemp("home")
    environ = {**os.environ, "LEAFLOOP_HOME": str(home), "LEAFLOOP_PORT": "0"}
    command = [sys.executable, "-m", "leafloop", "serve"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("Leafloop is ready: http://127.0.0.1:"), said
        yield {**environ, "SERVICE": said.split(": ")[1].strip()}
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def test_the_readme_has_the_commands_that_are_run_below() -> None:
    assert len(_commands()) >= 10


def test_every_command_of_the_tour_ends_well(service: dict[str, str], tmp_path: Path) -> None:
    bin_folder = Path(sys.executable).parent
    for command in _commands():
        here = command.replace("http://127.0.0.1:8000", service["SERVICE"]).replace(".venv/bin/", f"{bin_folder}/")
        here = here.replace("--save-boxes out", f"--save-boxes {tmp_path}").replace("curl -s", "curl -sf --max-time 60")
        done = subprocess.run(
            ["bash", "-c", here],
            cwd=ROOT,
            env=service,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.strip(), command  # of a pipe too: `curl -f` says nothing when it fails


def test_every_file_that_the_readme_names_exists() -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    folders = re.findall(r"^  (\w+/|\w+\.py)", README, re.MULTILINE)
    assert [name for name in pictures if not (ROOT / name).is_file()] == []
    assert folders
    assert [name for name in folders if not (ROOT / "src/leafloop" / name).exists()] == []
