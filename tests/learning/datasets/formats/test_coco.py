"""COCO as its tools write it: boxes in pixels, crowds, outlines, turned boxes, and JSON that lies."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tests.learning.dataset_files import HEIGHT, WIDTH, codes, picture, read, write

from leafloop.learning.datasets import formats

CATEGORIES = [{"id": 3, "name": "Stage1"}, {"id": 90, "name": "Stage2"}]


def coco(*annotations: dict[str, Any], images: list[dict[str, Any]] | None = None, **more: Any) -> str:
    told = images or [{"id": 7, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}]
    entries = [{"image_id": 7, "category_id": 3, **each} for each in annotations]
    return json.dumps({"images": told, "annotations": entries, "categories": CATEGORIES, **more})


def one(tmp_path: Path, *annotations: dict[str, Any], **more: Any) -> Any:
    return read(write(tmp_path, {"annotations.json": coco(*annotations, **more), "images/a.jpg": picture()}))


def test_a_box_is_a_corner_and_a_size_in_pixels(tmp_path: Path):
    dataset = one(tmp_path, {"bbox": [10, 20, 30, 40]}, {"bbox": [1.5, 2, 3, 4], "category_id": 90})
    (photo,) = dataset.photos
    assert (photo.name, photo.unit, photo.size) == ("images/a.jpg", "pixel", (WIDTH, HEIGHT))
    assert [(b.class_name, b.x1, b.y1, b.x2, b.y2) for b in photo.boxes] == [
        ("Stage1", 10, 20, 40, 60),
        ("Stage2", 1.5, 2, 4.5, 6),
    ]
    assert dataset.problems == ()


def test_a_photo_without_annotations_was_perhaps_never_looked_at(tmp_path: Path):
    assert one(tmp_path).photos[0].says_nothing


def test_a_crowd_an_outline_and_a_turned_box_become_boxes_and_that_is_said(tmp_path: Path):
    dataset = one(
        tmp_path,
        {"bbox": [0, 0, 50, 50], "iscrowd": 1, "segmentation": {"counts": "abc", "size": [1, 1]}},
        {"segmentation": [[10, 10, 30, 10, 20, 40]]},
        {"bbox": [100, 80, 40, 20, 90]},
        {"bbox": [80, 70, 40, 20], "attributes": {"rotation": 90.0}},
    )
    assert codes(dataset) == ["box_crowd", "box_enclosed", "box_enclosed", "box_enclosed"]
    boxes = [tuple(round(v, 6) for v in (b.x1, b.y1, b.x2, b.y2)) for b in dataset.photos[0].boxes]
    assert boxes == [(0, 0, 50, 50), (10, 10, 30, 40), (90, 60, 110, 100), (90, 60, 110, 100)]


@pytest.mark.parametrize(
    ("annotation", "code"),
    [
        ({"bbox": [1, 2, 3]}, "box_malformed"),
        ({"bbox": [1, 2, "3", 4]}, "box_malformed"),
        ({"bbox": [True, 2, 3, 4]}, "box_malformed"),
        ({}, "box_malformed"),
        ({"bbox": [math.nan, 2, 3, 4]}, "box_not_finite"),
        ({"bbox": [1, math.inf, 3, 4]}, "box_not_finite"),
        ({"bbox": [10**400, 2, 3, 4]}, "box_not_finite"),
        ({"bbox": [1, 2, 3, 4, math.nan]}, "box_not_finite"),
        ({"bbox": [1, 2, 3, 4], "category_id": 4}, "box_class_unknown"),
        ({"bbox": [1, 2, 3, 4], "category_id": "3"}, "box_class_unknown"),
    ],
)
def test_a_bad_annotation_is_named_and_its_photo_is_not_empty(tmp_path: Path, annotation: dict[str, Any], code: str):
    dataset = one(tmp_path, annotation)
    assert [(p.code, p.place) for p in dataset.problems] == [(code, "annotations.json: annotations[0]")]
    assert dataset.photos[0].lost == 1


def test_the_layout_of_roboflow_tells_the_sides(tmp_path: Path):
    sets = {f"{side}/_annotations.coco.json": coco({"bbox": [1, 2, 30, 40]}) for side in ("train", "valid", "test")}
    photos = {f"{side}/a.jpg": picture(seed) for seed, side in enumerate(("train", "valid", "test"))}
    dataset = read(write(tmp_path, sets | photos))
    assert {photo.name: photo.side for photo in dataset.photos} == {
        "train/a.jpg": "train", "valid/a.jpg": "val", "test/a.jpg": "test",
    }  # fmt: skip


def test_the_layout_of_coco_itself(tmp_path: Path):
    files = {"annotations/instances_train2017.json": coco({"bbox": [1, 2, 30, 40]}), "train2017/a.jpg": picture()}
    (photo,) = read(write(tmp_path, files)).photos
    assert (photo.name, photo.side) == ("train2017/a.jpg", "train")


def test_a_json_file_in_annotations_that_is_named_finds_its_photos_beside_that_folder(tmp_path: Path):
    files = {"annotations/instances_default.json": coco({"bbox": [1, 2, 30, 40]}), "images/a.jpg": picture()}
    write(tmp_path / "cvat", files)
    found = formats.opened(tmp_path / "cvat/annotations/instances_default.json", tmp_path)
    dataset = formats.read(found)
    assert ([photo.name for photo in dataset.photos], codes(dataset), found.name) == (["images/a.jpg"], [], "cvat")


def test_photos_that_no_json_file_names_are_said(tmp_path: Path):
    files = {"all.json": coco({"bbox": [1, 2, 30, 40]}), "a.jpg": picture(), "b.jpg": picture(1), "x/c.png": picture(2)}
    (said,) = read(write(tmp_path, files)).problems
    assert (said.code, said.place, said.count) == ("photo_unnamed", "b.jpg", 2)


def test_a_photo_that_leads_out_or_is_not_there_is_named(tmp_path: Path):
    images = [
        {"id": 1, "file_name": "../../../etc/passwd"},
        {"id": 2, "file_name": "/etc/passwd"},
        {"id": 3, "file_name": "b.jpg"},
    ]
    dataset = one(tmp_path, images=images)
    assert codes(dataset) == ["path_outside", "path_outside", "photo_missing", "photo_unnamed"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 200_000,
        '{"images": [1' + "0" * 5000 + '], "annotations": [], "categories": []}',
        '{"images": {}, "annotations": [], "categories": []}',
        coco(images=[{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]),
        coco(images=[{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.jpg"}]),
        coco(images=[{"id": "x", "file_name": "a.jpg"}]),
        coco({"bbox": [1, 2, 3, 4], "image_id": None}),
    ],
)
def test_json_that_is_broken_or_contradicts_itself_is_refused(tmp_path: Path, text: str):
    write(tmp_path, {"annotations.json": text, "images/a.jpg": picture()})
    dataset = read(tmp_path, "coco")
    assert codes(dataset) == ["description_unusable"]


def test_annotations_of_an_image_that_is_not_listed_are_said(tmp_path: Path):
    assert codes(one(tmp_path, {"bbox": [1, 2, 3, 4], "image_id": 99}, {"bbox": [1, 2, 3, 4]})) == ["photo_missing"]
