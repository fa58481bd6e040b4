"""Rendered photos as a dataset: the three sets never meet, and the same plan gives the same folder."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import pytest

from leafloop.learning.bundled import rendered
from leafloop.learning.bundled.rendered import FIRST_SEED, Plan
from leafloop.simulation import leaves

CLASSES = ("clean", "early", "late")


def test_no_seed_is_in_two_sets():
    plan = Plan(train=100_000, val=1000, judge_on=1000, test=1000)
    spans = sorted(
        (FIRST_SEED[which], FIRST_SEED[which] + count)
        for which, count in (("train", plan.train), ("val", max(plan.val, plan.judge_on)), ("test", plan.test))
    )
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


def test_the_photo_of_a_number_is_always_the_same():
    one, other = rendered.photo("train", 3, 2), rendered.photo("train", 3, 2)
    assert (one.pixels == other.pixels).all()
    assert one.class_id.tolist() == other.class_id.tolist()


def test_a_kept_shot_comes_back_without_rendering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = rendered.shot("train", 3, 2, tmp_path)
    monkeypatch.setattr(rendered, "photo", None)
    again = rendered.shot("train", 3, 2, tmp_path)
    assert again.jpeg == first.jpeg
    assert again.stage == first.stage
    assert again.xyxy_px.tolist() == first.xyxy_px.tolist()
    assert again.class_id.tolist() == first.class_id.tolist()
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


def test_a_photo_without_leaf_has_no_true_answer():
    empty = rendered.take(leaves.render(1, width=256, height=256, stages=2, leafless=1), 1)
    clean = rendered.take(leaves.render(1, width=256, height=256, stages=2, leafless=0, clean=1), 1)
    assert empty.stage is None
    assert clean.stage == 0


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiles")
    rendered.write_dataset(folder, CLASSES, Plan(train=2, val=1, judge_on=1, test=1), processes=1)
    return folder


def test_tiles_lie_with_their_photos_side_of_the_split(written: Path):
    split = json.loads((written / "split.json").read_text())
    assert set(split.values()) == {"train", "val"}
    for side in ("train", "val"):
        names = {path.name.rsplit("-", 1)[0] for path in (written / "images" / side).iterdir()}
        assert {split[name] for name in names} == {side}


def test_every_tile_has_its_labels(written: Path):
    images = {path.stem for path in written.glob("images/*/*.jpg")}
    labels = {path.stem for path in written.glob("labels/*/*.txt")}
    assert images == labels
    assert images


def test_a_folder_that_is_whole_is_left_as_it_is(written: Path):
    before = digest(written)
    again = rendered.write_dataset(written, CLASSES, Plan(train=2, val=1, judge_on=1, test=1), processes=1)
    assert digest(written) == before
    assert again == int((written / "most_boxes.txt").read_text())


def digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(path.read_bytes() + str(path.stat().st_mtime_ns).encode())
    return total.hexdigest()
