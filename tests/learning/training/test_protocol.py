"""The values that go to a trainer and come back: all of them survive a JSON file."""

from __future__ import annotations

from pathlib import Path

import pytest

from leafloop.learning.training.protocol import Job, Progress, Recipe, Trained


def job(**changes: object) -> Job:
    return Job(**{"dataset": Path("/d"), "out": Path("/o"), "classes": ("clean", "ill"), **changes})  # type: ignore[arg-type]


def trained(out: Path) -> Trained:
    return Trained(
        onnx=out / "model.onnx",
        weights=out / "weights.safetensors",
        classes=("clean", "ill"),
        size=256,
        layout="xyxy",
        orientation="channels_first",
        objectness=False,
        colour_order="rgb",
        divide_by=255.0,
        trainer="test",
        packages={"torch": "2"},
        epochs=3,
        best_epoch=2,
        seconds=1.5,
        validation={"map50": 0.5},
    )


@pytest.mark.parametrize("start_from", [None, Path("/w/weights.safetensors")])
def test_a_job_comes_back_from_its_file_as_it_was(start_from: Path | None):
    given = job(start_from=start_from, recipe=Recipe(epochs=3, mosaic=0.5), most_boxes=31)
    assert Job.from_json(given.as_json()) == given


def test_a_job_with_an_unknown_key_is_refused():
    with pytest.raises(TypeError):
        Job.from_json(job().as_json().replace('"seed"', '"sneed"'))


def test_what_was_trained_comes_back_from_its_folder_even_if_that_moved(tmp_path: Path):
    before = tmp_path / "before"
    before.mkdir()
    trained(before).write(before)
    after = before.rename(tmp_path / "after")
    assert Trained.read(after) == trained(after)


def test_a_training_that_did_not_end_has_no_result(tmp_path: Path):
    assert Trained.read(tmp_path) is None


def test_progress_is_one_line_and_comes_back():
    given = Progress("epoch", 2, 5, loss=1.25, figures={"map50": 0.4})
    assert "\n" not in given.as_line()
    assert Progress.from_line(given.as_line()) == given


@pytest.mark.parametrize("line", ["", "Epoch 1/5: loss 3", "[1, 2]", '{"a": 1}', "null"])
def test_a_line_that_a_library_printed_is_no_progress(line: str):
    assert Progress.from_line(line) is None
