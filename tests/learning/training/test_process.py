"""A trainer in a process of its own: what it is given, what is read of it, and how its failure reads.

The trainer here is a few lines of Python in the place of the interpreter, so that the process, the pipe and the files are real.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.learning.training.test_protocol import trained

from leafloop.errors import TrainingFailed
from leafloop.learning.training.process import ProcessTrainer
from leafloop.learning.training.protocol import Job, Progress


def interpreter(folder: Path, body: str) -> Path:
    """An executable that gets `-m MODULE JOB.json`, as an interpreter would."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys\njob = json.load(open(sys.argv[3]))\n{body}\n")
    path.chmod(0o755)
    return path


def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "tiles", tmp_path / "out", ("clean", "ill"))


GOOD = """
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.learning.training.test_protocol import trained
print("a library says hello")
print(json.dumps({{"event": "epoch", "epoch": 1, "epochs": 1}}), flush=True)
trained(Path(job["out"])).write(Path(job["out"]))
"""
ROOT = str(Path(__file__).parents[3])
SRC = str(Path(__file__).parents[3] / "src")


def test_progress_is_told_as_it_comes_and_the_result_is_read(tmp_path: Path):
    heard: list[Progress] = []
    result = ProcessTrainer(interpreter(tmp_path, GOOD.format(root=ROOT))).train(job(tmp_path), heard.append)
    assert heard == [Progress("epoch", 1, 1)]
    assert result == trained(tmp_path / "out")


def test_the_trainer_sees_leafloop_and_none_of_the_services_packages(tmp_path: Path):
    body = "open(job['out'] + '/seen', 'w').write(os.environ['PYTHONPATH'])"
    with pytest.raises(TrainingFailed):
        ProcessTrainer(interpreter(tmp_path, body)).train(job(tmp_path))
    folder = Path((tmp_path / "out" / "seen").read_text())
    assert [entry.name for entry in folder.iterdir()] == ["leafloop"]
    assert (folder / "leafloop" / "learning" / "training" / "libreyolo.py").is_file()


def test_a_trainer_that_fails_is_quoted(tmp_path: Path):
    with pytest.raises(TrainingFailed, match="no disk left") as raised:
        ProcessTrainer(interpreter(tmp_path, "sys.exit('no disk left')")).train(job(tmp_path))
    assert "ended with 1" in raised.value.detail


def test_a_trainer_that_ends_without_a_result_has_failed(tmp_path: Path):
    with pytest.raises(TrainingFailed, match="ended with 0"):
        ProcessTrainer(interpreter(tmp_path, "pass")).train(job(tmp_path))


def test_who_stops_listening_leaves_no_trainer_behind(tmp_path: Path):
    body = """
open(job["out"] + "/pid", "w").write(str(os.getpid()))
print(json.dumps({"event": "start"}), flush=True)
import time
time.sleep(60)
"""

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ProcessTrainer(interpreter(tmp_path, body)).train(job(tmp_path), interrupt)
    pid = int((tmp_path / "out" / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]
