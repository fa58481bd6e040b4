"""Runs a trainer module in a process and an interpreter of its own and reads its progress; imports none of what trains."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import leafloop
from leafloop.errors import TrainingFailed
from leafloop.learning.training.protocol import Job, Progress, Trained

LIBREYOLO = "leafloop.learning.training.libreyolo"
LAST_WORDS = 12  # lines of the trainer's own output that go into the error


@dataclass(frozen=True)
class ProcessTrainer:
    """A `Trainer`. python: the interpreter that has the trainer's packages; module: what it runs."""

    python: Path = Path(sys.executable)
    module: str = LIBREYOLO

    def train(self, job: Job, on_progress: Callable[[Progress], None] | None = None) -> Trained:
        """Train, or go on. All that the trainer says is kept in `out/trainer.log`. Raises `TrainingFailed`."""
        job.out.mkdir(parents=True, exist_ok=True)
        (job.out / "job.json").write_text(job.as_json(), "utf-8")
        with (job.out / "trainer.log").open("a", encoding="utf-8") as log:
            process = self._start(job, log.fileno())
            with process:
                try:
                    for line in process.stdout or ():
                        if (progress := Progress.from_line(line)) and on_progress:
                            on_progress(progress)
                except BaseException:  # whoever stops us must not leave a trainer behind that eats the machine
                    process.kill()
                    raise
        trained = Trained.read(job.out)
        if process.returncode or trained is None:
            raise TrainingFailed(f"The trainer ended with {process.returncode}: {_last_words(job.out / 'trainer.log')}")
        return trained

    def _start(self, job: Job, log: int) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(_only_leafloop(job.out)), "PYTHONUNBUFFERED": "1"}
        environment["OMP_NUM_THREADS"] = str(job.recipe.threads)  # read when torch starts, so it must stand before
        command = [str(self.python), "-m", self.module, str(job.out / "job.json")]
        # A fixed module; the interpreter is the operator's word.
        return subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )


def _only_leafloop(out: Path) -> Path:
    """A folder that holds the package leafloop and nothing else: the service's other packages must not reach the trainer."""
    folder = out / "path"
    folder.mkdir(exist_ok=True)
    link = folder / "leafloop"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(Path(leafloop.__file__).parent.resolve(), target_is_directory=True)
    return folder.resolve()


def _last_words(log: Path) -> str:
    with log.open(encoding="utf-8", errors="replace") as lines:
        return " | ".join(line.strip() for line in deque(lines, LAST_WORDS) if line.strip())[-1500:]
