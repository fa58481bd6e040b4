"""Tiles for a trainer: which boxes a tile still shows, which tiles are taken, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from leafloop.learning.training import dataset
from leafloop.learning.training.dataset import LabelledPhoto, Written, choose_tiles, finish, visible_boxes, write_photo

NAMES = ("clean", "small", "large")


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def labelled(name: str, *rows: tuple[float, float, float, float], side: int = 300) -> LabelledPhoto:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    return LabelledPhoto(name, pixels, np.full(len(rows), 2, np.int64), boxes(*rows))


def test_a_box_inside_the_tile_keeps_its_size_and_moves_to_the_tiles_corner():
    cut, counts = visible_boxes(boxes((110, 220, 130, 250)), (100, 200, 356, 456))
    assert cut.tolist() == [[10, 20, 30, 50]]
    assert counts.tolist() == [True]


def test_a_box_cut_by_the_edge_counts_from_35_percent_of_its_area():
    cut, counts = visible_boxes(boxes((-65, 0, 35, 20), (-67, 0, 33, 20)), (0, 0, 256, 256))
    assert cut[0].tolist() == [0, 0, 35, 20]
    assert counts.tolist() == [True, False]


def test_a_cut_box_needs_six_pixels_a_side_but_a_whole_one_does_not():
    _, counts = visible_boxes(boxes((-5, 10, 5, 30), (-5, 10, 6, 30), (40, 40, 44, 44)), (0, 0, 256, 256))
    assert counts.tolist() == [False, True, True]


def test_a_box_in_another_tile_or_beside_the_edge_does_not_count():
    _, counts = visible_boxes(boxes((300, 300, 320, 320), (256, 10, 280, 30)), (0, 0, 256, 256))
    assert not counts.any()


def test_a_photo_without_boxes_gives_none():
    cut, counts = visible_boxes(boxes(), (0, 0, 256, 256))
    assert cut.shape == (0, 4)
    assert counts.shape == (0,)


coordinate = st.integers(-50, 350)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(coordinate, coordinate, st.integers(1, 90), st.integers(1, 90)), max_size=12))
def test_a_box_that_counts_lies_in_the_tile_and_shows_enough_of_itself(rows: list[tuple[int, int, int, int]]):
    whole = boxes(*((x, y, x + w, y + h) for x, y, w, h in rows))
    cut, counts = visible_boxes(whole, (0, 0, 256, 256))
    assert (cut >= 0).all()
    assert (cut <= 256).all()
    area = (cut[:, 2:] - cut[:, :2]).prod(axis=1)
    assert (area[counts] >= 0.35 * (whole[counts, 2:] - whole[counts, :2]).prod(axis=1) - 1e-3).all()


def test_tiles_with_lesions_come_first_and_a_few_empty_ones_beside_them():
    chosen = choose_tiles(np.array([0] * 50 + [3] * 50), np.random.default_rng(0))
    assert len(chosen) == dataset.MOST_TILES
    assert int((chosen < 50).sum()) == dataset.EMPTY_BESIDE


def test_a_clean_photo_gives_half_as_many_tiles():
    assert len(choose_tiles(np.zeros(50, np.int64), np.random.default_rng(0))) == dataset.MOST_TILES // 2


def test_no_tile_is_chosen_twice_and_all_of_a_small_photo_are_taken():
    chosen = choose_tiles(np.array([1, 0, 2, 1]), np.random.default_rng(3))
    assert sorted(chosen.tolist()) == [0, 1, 2, 3]


def test_what_is_written_can_be_read_back_as_the_same_box(tmp_path: Path):
    orange = np.full((256, 256, 3), (230, 120, 10), np.uint8)
    photo = LabelledPhoto("leaf", orange, np.array([2]), boxes((20, 30, 60, 50)))
    written = write_photo(tmp_path, "train", photo, np.random.default_rng(0), classes=3)
    assert written == Written("leaf", "train", 1, 1, (0, 0, 1))
    tile = cv2.imread(str(tmp_path / "images/train/leaf-0000.jpg"))
    assert tile is not None
    assert abs(tile[..., ::-1].astype(int) - orange).max() < 6  # RGB stays RGB, through JPEG
    (line,) = (tmp_path / "labels/train/leaf-0000.txt").read_text().splitlines()
    class_id, x, y, w, h = line.split()
    assert class_id == "2"
    assert np.allclose(np.array([x, y, w, h], float) * 256, [40, 40, 40, 20], atol=1e-3)


def test_a_tile_without_a_lesion_has_an_empty_label_file(tmp_path: Path):
    write_photo(tmp_path, "val", labelled("clean", side=256), np.random.default_rng(0), classes=3)
    assert (tmp_path / "labels/val/clean-0000.txt").read_text() == ""


def test_data_yaml_has_four_keys_and_names_the_classes_in_order(tmp_path: Path):
    path = finish(tmp_path, NAMES, [Written("a", "train", 4, 1, (0, 1, 0)), Written("b", "val", 2, 1, (0, 1, 0))])
    data = yaml.safe_load(path.read_text())
    assert sorted(data) == ["names", "path", "train", "val"]
    assert data["names"] == list(NAMES)
    assert data["path"] == str(tmp_path.resolve())


def test_a_class_name_that_looks_like_yaml_stays_a_name(tmp_path: Path):
    names = ("yes", "a: b", "'", "download: https://example.org")
    path = finish(tmp_path, names, [Written("a", "train", 1, 0, ()), Written("b", "val", 1, 0, ())])
    assert yaml.safe_load(path.read_text())["names"] == list(names)


def test_the_split_is_written_by_photo(tmp_path: Path):
    finish(tmp_path, NAMES, [Written("a", "train", 4, 1, ()), Written("b", "val", 2, 1, ())])
    assert json.loads((tmp_path / "split.json").read_text()) == {"a": "train", "b": "val"}


def test_a_photo_on_both_sides_of_the_split_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="must stay together"):
        finish(tmp_path, NAMES, [Written("a", "train", 4, 1, ()), Written("a", "val", 2, 1, ())])


def test_a_side_without_tiles_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="no tile in val"):
        finish(tmp_path, NAMES, [Written("a", "train", 4, 1, ())])
