"""YOLO as it is found in the wild: two layouts, several tools, and every way to get a line wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.learning.dataset_files import NAMES, codes, data_yaml, picture, read, write, yolo

from leafloop.learning.datasets import formats
from leafloop.learning.datasets.formats import ReadPhoto

BOX = "1 0.5 0.5 0.2 0.4\n"


def photos_of(folder: Path) -> dict[str, ReadPhoto]:
    return {photo.name: photo for photo in read(folder).photos}


def test_a_box_a_confirmed_negative_and_a_photo_nobody_looked_at_are_three_things(tmp_path: Path):
    found = photos_of(write(tmp_path, yolo({"train/a": BOX, "train/b": "", "train/c": None})))
    (box,) = found["train/images/a.jpg"].boxes or ()
    assert (box.class_name, box.x1, box.y1, box.x2, box.y2) == ("Stage1", 0.4, 0.3, 0.6, 0.7)
    assert found["train/images/b.jpg"].boxes == ()
    assert found["train/images/c.jpg"].says_nothing


def test_the_given_sides_are_known_by_all_their_names(tmp_path: Path):
    found = photos_of(write(tmp_path, yolo({"train/a": BOX, "valid/b": BOX, "test/c": BOX})))
    assert [found[f"{side}/images/{name}.jpg"].side for side, name in (("train", "a"), ("valid", "b"), ("test", "c"))] == [
        "train", "val", "test",
    ]  # fmt: skip


def test_the_layout_of_ultralytics_with_names_by_number(tmp_path: Path):
    text = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: Healthy\n  1: Stage1\n"
    files = {
        "data.yaml": text,
        "images/train/a.jpg": picture(),
        "labels/train/a.txt": BOX,
        "images/val/b.jpg": picture(1),
    }
    found = photos_of(write(tmp_path, files))
    assert [(photo.side, photo.boxes and photo.boxes[0].class_name) for photo in found.values()] == [
        ("train", "Stage1"),
        ("val", None),
    ]


def test_what_roboflow_writes_in_front_of_its_paths_means_this_folder(tmp_path: Path):
    files = yolo({"train/a": BOX}) | {"data.yaml": data_yaml().replace("train/images", "../train/images")}
    assert list(photos_of(write(tmp_path, files))) == ["train/images/a.jpg"]


def test_a_dataset_in_a_folder_of_its_archive_is_found(tmp_path: Path):
    write(tmp_path / "export 7", yolo({"train/a": BOX}))
    assert list(photos_of(tmp_path)) == ["export 7/train/images/a.jpg"]


def test_a_text_file_may_list_the_photos_of_a_side(tmp_path: Path):
    files = yolo({"train/a": BOX, "train/b": BOX}) | {
        "data.yaml": "train: list.txt\nval: list.txt\nnames: [Healthy, Stage1]\n",
        "list.txt": "./train/images/b.jpg\n../../etc/passwd\ntrain/images/gone.jpg\n",
    }
    dataset = read(write(tmp_path, files))
    assert next(photo.name for photo in dataset.photos) == "train/images/b.jpg"
    assert {"path_outside", "photo_missing"} <= set(codes(dataset))
    assert dataset.problems[0].place == "list.txt:2"


@pytest.mark.parametrize(
    ("train", "val", "more"),
    [
        ("images", "images", {}),
        ("images", "images/val", {}),
        ("all.txt", "val.txt", {"all.txt": "images/a.jpg\nimages/val/b.jpg\n", "val.txt": "images/val/b.jpg\n"}),
    ],
)
def test_a_photo_that_two_sides_name_is_a_leak_and_on_neither(
    tmp_path: Path, train: str, val: str, more: dict[str, str]
):
    files = {"data.yaml": f"train: {train}\nval: {val}\nnames: [Healthy, Stage1]\n", **more}
    for name in ("a", "val/b"):
        files |= {f"images/{name}.jpg": picture(len(name)), f"labels/{name}.txt": BOX}
    dataset = read(write(tmp_path, files))
    sides = {photo.name: photo.side for photo in dataset.photos}
    assert len(dataset.photos) == 2
    assert sides["images/val/b.jpg"] is None
    assert sides["images/a.jpg"] == (None if train == val else "train")
    (leak,) = (each for each in dataset.problems if each.code == "leak")
    assert leak.count == (2 if train == val else 1)
    assert "train, val" in leak.detail


def test_two_datasets_side_by_side_are_not_guessed_between(tmp_path: Path):
    for name in ("x", "y"):
        write(tmp_path / name, yolo({f"train/{name}": BOX}))
    (said,) = read(tmp_path).problems
    assert (said.code, said.stops) == ("description_unusable", True)
    assert "x/data.yaml, y/data.yaml" in said.detail
    assert len(read(tmp_path / "y/data.yaml").photos) == 1


def test_a_dataset_is_called_as_its_folder_also_when_its_file_is_named(tmp_path: Path):
    write(tmp_path / "season 7", yolo({"train/a": BOX}))
    assert formats.opened(tmp_path / "season 7/data.yaml", tmp_path).name == "season 7"


def test_photos_in_folders_that_data_yaml_does_not_name_are_said(tmp_path: Path):
    files = yolo({"train/a": BOX}) | {"more/b.jpg": picture(1)}
    said = [p.place for p in read(write(tmp_path, files)).problems if p.code == "photo_unnamed"]
    assert said == ["more/b.jpg"]


def test_of_a_path_of_another_machine_its_end_is_taken_where_it_is_here_and_that_is_said(tmp_path: Path):
    files = yolo({"train/a": BOX, "valid/b": BOX}) | {
        "data.yaml": "train: /content/set-3/train/images\nval: C:\\work\\list.txt\n"
        "test: /content/set-3/test/images\nnames: [Healthy, Stage1]\n",
        "list.txt": "/content/set-3/valid/images/b.jpg\n",
    }
    dataset = read(write(tmp_path, files))
    assert {photo.name: photo.side for photo in dataset.photos} == {
        "train/images/a.jpg": "train",
        "valid/images/b.jpg": "val",
    }
    assert codes(dataset) == ["path_ignored", "path_ignored", "side_absent"]


def test_a_list_of_classes_does_where_there_is_no_data_yaml(tmp_path: Path):
    files = {"classes.txt": "Healthy\nStage1\n", "images/a.jpg": picture(), "labels/a.txt": BOX}
    found = photos_of(write(tmp_path, files))
    assert found["images/a.jpg"].boxes is not None
    assert found["images/a.jpg"].boxes[0].class_name == "Stage1"


def test_an_outline_becomes_the_box_around_it_and_that_is_said(tmp_path: Path):
    dataset = read(write(tmp_path, yolo({"train/a": "2 0.1 0.1 0.5 0.2 0.3 0.6\n"})))
    (box,) = dataset.photos[0].boxes or ()
    assert (box.x1, box.y1, box.x2, box.y2) == (0.1, 0.1, 0.5, 0.6)
    assert codes(dataset) == ["side_absent", "side_absent", "box_enclosed"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("x 0.5 0.5 0.1 0.1", "box_malformed"),
        ("1 0.5 0.5 0.1", "box_malformed"),
        ("1 0.5 0.5 0.1 0.1 0.93", "box_malformed"),
        ("1 nan 0.5 0.1 0.1", "box_not_finite"),
        ("1 0.5 inf 0.1 0.1", "box_not_finite"),
        ("1e999 0.5 0.5 0.1 0.1", "box_not_finite"),
        ("7 0.5 0.5 0.1 0.1", "box_class_unknown"),
        ("-1 0.5 0.5 0.1 0.1", "box_class_unknown"),
        ("1.5 0.5 0.5 0.1 0.1", "box_class_unknown"),
        ("\0 0.5 0.5 0.1 0.1", "box_malformed"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line_and_its_photo_is_not_empty(tmp_path: Path, line: str, code: str):
    dataset = read(write(tmp_path, yolo({"train/a": f"\n{line}\n"})))
    found = [problem for problem in dataset.problems if problem.code == code]
    assert [problem.place for problem in found] == ["train/labels/a.txt:2"]
    assert (dataset.photos[0].boxes, dataset.photos[0].lost) == ((), 1)


def test_a_label_file_without_a_photo_is_said(tmp_path: Path):
    dataset = read(write(tmp_path, yolo({"train/a": BOX}) | {"train/labels/gone.txt": BOX}))
    assert [p.place for p in dataset.problems if p.code == "label_without_photo"] == ["train/labels/gone.txt"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("names: [a, b", "expected"),
        ("a: &a [x]\nb: *a\n", "aliases are not taken"),
        ("x: !!python/object/apply:os.system ['touch marker']\n", "could not determine a constructor"),
        ("[" * 30_000, "nested too deep"),
        ("# " + "x" * 70_000, "larger than 65536 bytes"),
        ("nc: 3\n", "nc: says 3"),
        ("when: !!int ''\n", "cannot be read"),
    ],
)
def test_a_data_yaml_that_is_not_plain_data_is_refused_quickly_and_nothing_is_run(
    tmp_path: Path, more: str, words: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    files = yolo({"train/a": BOX}, more=more if not more.startswith("[") else "deep: " + more)
    began = time.process_time()
    dataset = read(write(tmp_path, files))
    assert time.process_time() - began < 2
    assert [(p.code, words in p.detail) for p in dataset.problems] == [("description_unusable", True)], dataset.problems
    assert dataset.photos == ()
    assert not (tmp_path / "marker").exists()


def test_a_download_line_has_its_own_reason_and_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    more = "download: |\n  import pathlib; pathlib.Path('marker').touch()\n"
    dataset = read(write(tmp_path, yolo({"train/a": BOX}, more=more)))
    assert "download_line" in codes(dataset)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("place", ["/etc", "../../etc", "C:\\photos", "a/../../..", "..\\..\\etc"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, place: str):
    files = yolo({"train/a": BOX}) | {"data.yaml": f"train: {place!r}\nnames: [Healthy, Stage1]\n"}
    assert "path_outside" in codes(read(write(tmp_path / "set", files)))


def test_the_path_of_the_machine_that_wrote_it_is_not_followed_and_that_is_said(tmp_path: Path):
    write(tmp_path / "elsewhere", yolo({"train/secret": BOX}))
    dataset = read(write(tmp_path / "set", yolo({"train/a": BOX}, more=f"path: {tmp_path / 'elsewhere'}\n")))
    assert [photo.name for photo in dataset.photos] == ["train/images/a.jpg"]
    assert "path_ignored" in codes(dataset)


def test_links_lead_nowhere_else(tmp_path: Path):
    write(tmp_path / "else", {"secret.jpg": picture(9), "secret.txt": BOX})
    folder = write(tmp_path / "set", yolo({"train/a": None}))
    (folder / "train/images/b.jpg").symlink_to(tmp_path / "else/secret.jpg")
    (folder / "train/labels").mkdir()
    (folder / "train/labels/a.txt").symlink_to(tmp_path / "else/secret.txt")
    (folder / "train/images/again").symlink_to(folder)
    (folder / "train/images/c.jpg").symlink_to("nowhere")
    dataset = read(folder)
    assert sorted(p.place for p in dataset.problems if p.code == "path_outside") == [
        "train/images/again", "train/images/b.jpg", "train/images/c.jpg", "train/labels/a.txt",
    ]  # fmt: skip
    assert [photo.name for photo in dataset.photos] == ["train/images/a.jpg"]
    assert dataset.photos[0].says_nothing


def test_names_that_are_no_list_of_all_classes_are_refused(tmp_path: Path):
    for names in ("{0: Healthy, 2: Stage1}", "[]", "7", "[[a]]"):
        dataset = read(write(tmp_path, {"data.yaml": f"train: images\nnames: {names}\n", "images/a.jpg": picture()}))
        assert codes(dataset) == ["description_unusable"]


def test_a_dataset_without_photos_says_so(tmp_path: Path):
    assert codes(read(write(tmp_path, {"data.yaml": data_yaml(NAMES)})))[-1] == "nothing_found"
    assert codes(read(tmp_path / "data.yaml"))[-1] == "nothing_found"


def test_a_file_that_describes_no_dataset_is_not_read_as_its_folder(tmp_path: Path):
    write(tmp_path, yolo({"train/a": BOX}))
    assert codes(read(tmp_path / "train/images/a.jpg")) == ["description_unusable"]
    assert len(read(tmp_path / "data.yaml").photos) == 1
