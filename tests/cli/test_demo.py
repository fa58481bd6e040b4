"""`leafloop demo`: what needs no trainer works, and what needs one says how to get it."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from leafloop.cli.demo import app
from leafloop.vision.photo import read_upload

run = CliRunner()


def test_rendered_photos_come_with_their_truth(tmp_path: Path):
    result = run.invoke(
        app, ["photos", str(tmp_path), "--count", "2", "--width", "320", "--height", "256", "--seed", "5"]
    )
    assert result.exit_code == 0, result.output
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert sorted(truth) == ["leaf-5.jpg", "leaf-6.jpg"]
    for name, told in truth.items():
        photo = read_upload((tmp_path / name).read_bytes())
        assert (photo.width, photo.height) == (320, 256)
        assert all(0 <= box["xyxy_px"][0] < box["xyxy_px"][2] <= 320 for box in told["boxes"])


def test_without_a_trainer_it_says_how_to_make_one(tmp_path: Path):
    result = run.invoke(app, ["train-bundled", "--work", str(tmp_path / "w"), "--python", str(tmp_path / "no-python")])
    assert result.exit_code == 1
    assert "make train-env" in result.output
    assert not (tmp_path / "w").exists()


def test_a_folder_without_photos_is_said(tmp_path: Path):
    result = run.invoke(
        app, ["judge-bundled", "--photos", str(tmp_path), "--ill", "a", "--healthy", "b", "--bundle", str(tmp_path)]
    )
    assert result.exit_code == 1
    assert "bundle" in result.output
