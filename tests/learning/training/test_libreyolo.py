"""The real trainer: learns a little, is killed, goes on, and gives a model that the service can load. Minutes, so marked slow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from leafloop import taxonomy as taxonomies
from leafloop.learning.bundled import recipe, rendered
from leafloop.learning.bundled.trial import Chosen
from leafloop.learning.training.process import ProcessTrainer
from leafloop.learning.training.protocol import Job, Progress, Recipe
from leafloop.vision.bundle import write_bundle
from leafloop.vision.detector import Detector
from leafloop.vision.tiles import grid

ROOT = Path(__file__).parents[3]
CLASSES = taxonomies.load()
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def python() -> Path:
    path = Path(os.environ.get("LEAFLOOP_TRAINER_PYTHON", ROOT / ".venv-train/bin/python"))
    if (
        not path.exists()
        or subprocess.run([path, "-c", "import libreyolo, torch"], timeout=120, check=False).returncode
    ):
        pytest.skip(f"no trainer at {path}: run 'make train-env', or set LEAFLOOP_TRAINER_PYTHON")
    return path


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("training")
    plan = rendered.Plan(train=3, val=1, judge_on=1, test=1)
    most = rendered.write_dataset(folder / "tiles", CLASSES.class_names, plan, processes=1)
    return Job(folder / "tiles", folder / "out", CLASSES.class_names, most_boxes=most, recipe=Recipe(epochs=2, batch=4))


def test_killed_after_an_epoch_it_goes_on_and_what_comes_out_can_be_served(python: Path, job: Job, tmp_path: Path):
    trainer = ProcessTrainer(python)

    def kill_after_the_first_epoch(told: Progress) -> None:
        if told.event == "epoch":
            deadline = time.monotonic() + 60
            while not (job.out / "run/weights/last.pt").is_file() and time.monotonic() < deadline:
                time.sleep(0.1)  # the line comes before the checkpoint is written
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.train(job, kill_after_the_first_epoch)
    heard: list[Progress] = []
    trained = trainer.train(job, heard.append)
    assert [told.epoch for told in heard if told.event == "epoch"] == [2]
    assert trained.epochs == 2

    facts = {**recipe._facts(CLASSES, trained, {}), "thresholds": asdict(Chosen(0.25, 0.5, 0.5, 0.1))}
    bundle = write_bundle(
        tmp_path / "bundle", facts, {"model.onnx": trained.onnx, "weights.safetensors": trained.weights}
    )
    drawn = rendered.photo("train", 0, 6).pixels[:256, :256]
    found = Detector(bundle, precision="f32").detect(drawn[None], grid(256, 256), floor=0.0001)
    assert found.xyxy_px.shape[1] == 4

    again = trainer.train(job)  # nothing is left to do
    assert again == trained


def test_an_orphaned_trainer_ends(python: Path, job: Job, tmp_path: Path):
    """When whoever started it is gone, nobody reads its lines: the next one ends it."""
    out = tmp_path / "orphan"
    script = (
        "from pathlib import Path\n"
        "from leafloop.learning.training.process import ProcessTrainer\n"
        "from leafloop.learning.training.protocol import Job\n"
        f"job = Job.from_json(Path({str(job.out / 'job.json')!r}).read_text())\n"
        "import dataclasses\n"
        f"ProcessTrainer(Path({str(python)!r})).train(dataclasses.replace(job, out=Path({str(out)!r})), "
        "lambda told: print(told.event, flush=True))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline().strip() == "start"
    child = int(
        subprocess.run(
            ["pgrep", "-P", str(parent.pid)], capture_output=True, text=True, timeout=10, check=True
        ).stdout.split()[0]
    )
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    deadline = time.monotonic() + 300
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not Path(f"/proc/{child}").exists()
