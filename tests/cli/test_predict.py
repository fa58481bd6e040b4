"""`leafloop predict`: photos in, verdicts out, kept like every other answer."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.cli.conftest import Leafloop

from leafloop.simulation import leaves

BODY_KEYS = {
    "success",
    "prediction_id",
    "user_id",
    "image_size",
    "class_id",
    "class_name",
    "confidence",
    "reliable",
    "outcome",
    "advice",
    "quality",
    "detections",
    "model",
    "timings_ms",
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with two rendered photos, and one file that is none."""
    folder = tmp_path / "photos"
    (folder / "plot 1").mkdir(parents=True)
    for seed, name in ((1, "a.jpg"), (2, "plot 1/b.jpg")):
        rendered = leaves.render(seed, width=640, height=480, stages=6)
        (folder / name).write_bytes(leaves.encode(rendered, seed))
    (folder / "notes.txt").write_text("not a photo")
    return folder


def test_a_folder_is_searched_and_each_photo_is_one_json_line(leafloop: Leafloop, photos: Path) -> None:
    done = leafloop("predict", photos, "--json")
    assert done.code == 0, done.err
    lines = done.json_lines
    assert [Path(line["path"]).name for line in lines] == ["a.jpg", "b.jpg"]
    assert all(set(line) >= BODY_KEYS for line in lines)
    assert all(line["image_size"] == {"width": 640, "height": 480} for line in lines)


def test_a_rejected_photo_is_said_and_the_others_are_answered(leafloop: Leafloop, photos: Path) -> None:
    done = leafloop("predict", photos / "a.jpg", photos / "notes.txt", "--json")
    assert done.code == 1
    answered, rejected = done.json_lines
    assert answered["success"] is True
    assert rejected == {"path": str(photos / "notes.txt"), "error": rejected["error"]}
    assert (rejected["error"]["code"], rejected["error"]["status"]) == ("not_an_image", 415)
    assert "JPEG" in rejected["error"]["detail"]


def test_answers_are_kept_in_the_home_and_rejected_ones_are_not(leafloop: Leafloop, photos: Path, home: Path) -> None:
    leafloop("predict", photos / "a.jpg", photos / "notes.txt", "--json")
    with sqlite3.connect(home / "leafloop.db") as ledger:
        assert ledger.execute("select count(*) from predictions").fetchone() == (1,)
        assert ledger.execute("select count(*) from photos").fetchone() == (1,)


def test_csv_has_a_row_a_photo_and_no_formula(leafloop: Leafloop, photos: Path, tmp_path: Path) -> None:
    evil = tmp_path / "=cmd|' !A0.jpg"
    evil.write_bytes((photos / "a.jpg").read_bytes())
    done = leafloop("predict", evil.name, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(done.out))
    assert row["path"] == "'" + evil.name
    assert row["outcome"] in {"diseased", "healthy", "uncertain", "no_leaf"}


def test_boxes_are_drawn_on_copies_without_metadata(leafloop: Leafloop, tmp_path: Path) -> None:
    photo = tmp_path / "leaf.jpg"
    photo.write_bytes(
        leaves.encode(leaves.render(3, width=640, height=480, stages=6), 3, orientation=6, gps=(14.5, 121.0))
    )
    done = leafloop("predict", photo, "--save-boxes", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    drawn = (tmp_path / "out" / "leaf.boxes.jpg").read_bytes()
    assert b"Exif" not in drawn
    pixels = cv2.imdecode(np.frombuffer(drawn, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape[:2] == (640, 480)  # upright


def test_an_empty_folder_is_an_error_that_says_what_is_searched_for(leafloop: Leafloop, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = leafloop("predict", "empty")
    assert done.code == 1
    assert ".heic" in done.err


def test_a_photo_that_is_not_there_is_a_usage_error(leafloop: Leafloop) -> None:
    assert leafloop("predict", "absent.jpg").code == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_does_not_stop_the_others(leafloop: Leafloop, photos: Path) -> None:
    locked = photos / "locked.jpg"
    locked.write_bytes(b"x")
    locked.chmod(0)
    done = leafloop("predict", photos, "--json")
    locked.chmod(stat.S_IRUSR)
    assert done.code == 1
    assert [line.get("error", {}).get("code") for line in done.json_lines] == [None, "unreadable", None]
