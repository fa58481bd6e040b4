"""A dataset is brought in whole or not at all, whatever is in it; and each option mends what it says and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests import hostile
from tests.learning import labelled
from tests.learning.dataset_files import (
    BANANA,
    HEIGHT,
    NOTHING,
    WIDTH,
    bring,
    codes,
    labels_of,
    picture,
    rows,
    write,
    yolo,
    zipped,
)

from leafloop.errors import DatasetRejected, RequestInvalid
from leafloop.learning.datasets import formats, importing
from leafloop.learning.datasets.importing import Report
from leafloop.learning.datasets.intake import Place
from leafloop.live.auditing import Kept
from leafloop.live.auditing import audit as audit_all
from leafloop.storage import audit, imports
from leafloop.storage.tables import AuditEntry, Import, Photo, TrainingData
from leafloop.vision import likeness
from leafloop.vision.photo import PhotoLimits

BOX = "1 0.5 0.5 0.2 0.5\n"  # in pixels: 80, 40 to 120, 120
GOOD = {"train/a": BOX, "train/b": "", "valid/c": BOX + "3 0.25 0.25 0.1 0.1\n"}


def refused(place: Place, path: Path, **wish: object) -> Report:
    """The report of an import that has to be refused, after which nothing may be here."""
    with pytest.raises(DatasetRejected) as caught:
        bring(place, path, **wish)
    assert rows(place.ledger) == NOTHING
    assert list(place.blobs.keys()) == []
    report = caught.value.fields["report"]
    assert isinstance(report, Report)
    return report


def test_photos_and_labels_are_kept_with_where_they_come_from(either_place: Place, tmp_path: Path):
    place = either_place
    report = bring(place, write(tmp_path / "field set", yolo(GOOD)))
    assert (report.photos, report.labels, report.refused) == (3, 3, False)
    assert rows(place.ledger) == {"photos": 3, "training_data": 3, "imports": 1, "audit": 1}
    label = labels_of(place.ledger)["valid/images/c.jpg"]
    assert (label.source, label.source_id, label.validated_by) == ("import", report.import_id, "import:field set")
    assert (label.is_validated, label.strength, label.outcome, label.class_name, label.class_id) == (
        True,
        "strong",
        "diseased",
        "Stage3",
        3,
    )
    assert label.bbox_data is not None
    assert label.bbox_data[0] == {
        "class_id": 1,
        "class_name": "Stage1",
        "bbox": {"x1": 80.0, "y1": 40.0, "x2": 120.0, "y2": 120.0},
    }
    assert (label.width, label.height, label.may_test, label.dataset_split, label.metadata_) == (
        WIDTH,
        HEIGHT,
        True,
        None,
        None,
    )
    with place.ledger.reading() as session:
        photo = session.get_one(Photo, label.photo_id)
        kept = session.scalars(select(Import)).one()
        told = audit.latest(session)[0]
    assert likeness.is_current(photo.likeness)
    assert (photo.file_name, photo.sha256, photo.stored_sha256) == ("c.jpg", label.image_hash, label.image_path)
    place.blobs.verify(photo.stored_sha256)
    assert (kept.name, kept.format, kept.photos, kept.labels, kept.class_map["Stage1"]) == (
        "field set",
        "yolo",
        3,
        3,
        "Stage1",
    )
    assert kept.report["classes"]["Stage1"] == {"class": "Stage1", "labels": 2, "photos": 2}
    assert (told.action, told.subject, told.actor) == ("data.import", report.import_id, "cli")


def test_a_photo_on_which_nothing_is_is_not_said_to_be_healthy(place: Place, tmp_path: Path):
    bring(place, write(tmp_path / "set", yolo(GOOD)))
    label = labels_of(place.ledger)["train/images/b.jpg"]
    assert (label.bbox_data, label.strength, label.outcome, label.class_name) == ([], "strong", None, None)


def test_a_class_of_the_whole_photo_makes_a_weak_label_without_boxes(place: Place, tmp_path: Path):
    tasks = [
        {
            "data": {"image": f"{name}.jpg"},
            "annotations": [{"result": [{"type": "choices", "value": {"choices": [name]}}]}],
        }
        for name in ("Stage3", "Healthy")
    ]
    files = {"tasks.json": json.dumps(tasks), "Stage3.jpg": picture(), "Healthy.jpg": picture(1)}
    report = bring(place, write(tmp_path / "set", files))
    assert (report.photos, report.labels) == (2, 2)
    found = {
        name: (row.strength, row.bbox_data, row.outcome, row.class_name)
        for name, row in labels_of(place.ledger).items()
    }
    assert found == {
        "Stage3.jpg": ("weak", None, "diseased", "Stage3"),
        "Healthy.jpg": ("weak", None, "healthy", "Healthy"),
    }


def test_importing_the_same_again_changes_nothing(place: Place, tmp_path: Path):
    folder = write(tmp_path / "set", yolo(GOOD))
    bring(place, folder)
    before = rows(place.ledger)
    again = bring(place, folder)
    assert (again.photos, again.labels, again.import_id, codes(again).count("already_here")) == (0, 0, None, 3)
    assert rows(place.ledger) == before


def test_a_dry_run_says_what_would_be_and_keeps_nothing(place: Place, tmp_path: Path):
    report = bring(place, write(tmp_path / "set", yolo(GOOD)), dry_run=True)
    assert (report.photos, report.labels, report.import_id, report.found["empty"]) == (3, 3, None, 1)
    assert rows(place.ledger) == NOTHING
    assert list(place.blobs.keys()) == []


def test_names_are_mapped_and_an_unmapped_one_refuses_all_and_says_what_to_add(place: Place, tmp_path: Path):
    names = ("Functional", "Mild", "Stage3", "unused")
    folder = write(
        tmp_path / "set",
        yolo({"train/a": "0 0.5 0.5 0.2 0.5\n", "train/b": BOX, "train/c": "2 0.5 0.5 0.2 0.5\n"}, names),
    )
    report = refused(place, folder, class_map={"functional": "Healthy"})
    assert report.options == ["--map 'Functional='...", "--map 'Mild='..."]
    report = bring(place, folder, class_map={"Functional": "Healthy", "Mild": "Stage4"})
    assert {row.class_name for row in labels_of(place.ledger).values()} == {"Healthy", "Stage4", "Stage3"}
    assert report.classes["Mild"] == {"class": "Stage4", "labels": 1, "photos": 1}


def test_a_class_may_be_dropped_and_a_photo_of_nothing_else_is_not_called_empty(place: Place, tmp_path: Path):
    names = ("Dirt", "Stage1")
    folder = write(
        tmp_path / "set", yolo({"train/a": "0 0.5 0.5 0.2 0.5\n", "train/b": "0 0.2 0.2 0.1 0.1\n" + BOX}, names)
    )
    report = bring(place, folder, class_map={"Dirt": None})
    assert sorted(codes(report)) == ["box_dropped", "box_dropped", "photo_without_rest", "side_absent", "side_absent"]
    assert {name: len(row.bbox_data or ()) for name, row in labels_of(place.ledger).items()} == {
        "train/images/b.jpg": 1
    }


BAD_BOXES = {
    "box_outside": "1 0.95 0.5 0.2 0.4",
    "box_empty": "1 0.5 0.5 0.001 0.4",
    "box_not_finite": "1 0.5 0.5 nan 0.4",
    "box_class_unknown": "9 0.5 0.5 0.1 0.4",
    "box_malformed": "1 0.5 0.5",
}


@pytest.mark.parametrize("code", BAD_BOXES)
def test_a_bad_box_refuses_all_with_file_and_line_unless_its_option_is_named(place: Place, tmp_path: Path, code: str):
    folder = write(tmp_path / "set", yolo({"train/a": BOX + BAD_BOXES[code] + "\n", "valid/b": BOX}))
    report = refused(place, folder)
    assert [(p.code, p.place) for p in report.problems if p.stops] == [(code, "train/labels/a.txt:2")]
    option = {"clip": True} if code == "box_outside" else {"drop_bad_boxes": True}
    other = {"drop_bad_boxes": True} if code == "box_outside" else {"clip": True}
    refused(place, folder, **other)
    assert bring(place, folder, **option).photos == 2
    boxes = labels_of(place.ledger)["train/images/a.jpg"].bbox_data or []
    assert len(boxes) == (2 if code == "box_outside" else 1)
    if code == "box_outside":
        assert boxes[1]["bbox"]["x2"] == WIDTH


@pytest.mark.parametrize("line", ["1 1e308 0.5 1e308 0.5", "1 5 5 0.1 0.1", "1 0.5 0.5 -0.2 -0.2", "1 -3 0.5 0.1 0.1"])
def test_numbers_that_are_no_place_on_the_photo_are_bad_boxes(place: Place, tmp_path: Path, line: str):
    report = refused(place, write(tmp_path / "set", yolo({"train/a": line + "\n"})))
    assert next(p.code for p in report.problems if p.stops) in ("box_empty", "box_not_finite")


def test_when_every_box_of_a_photo_is_bad_the_photo_is_left_out_and_never_called_empty(place: Place, tmp_path: Path):
    folder = write(tmp_path / "set", yolo({"train/a": BAD_BOXES["box_malformed"], "train/b": BOX}))
    report = bring(place, folder, drop_bad_boxes=True)
    assert list(labels_of(place.ledger)) == ["train/images/b.jpg"]
    assert "photo_without_rest" in codes(report)


def test_edges_within_half_a_pixel_are_rounding_and_set_to_the_photos_edge(place: Place, tmp_path: Path):
    bring(place, write(tmp_path / "set", yolo({"train/a": "1 0.5 0.5 1.004 1.004\n"})))
    (box,) = labels_of(place.ledger)["train/images/a.jpg"].bbox_data or []
    assert box["bbox"] == {"x1": 0.0, "y1": 0.0, "x2": float(WIDTH), "y2": float(HEIGHT)}


def test_a_photo_without_a_label_file_is_empty_only_when_a_person_says_so(place: Place, tmp_path: Path):
    folder = write(tmp_path / "set", yolo({"train/a": BOX, "train/b": None}))
    report = refused(place, folder)
    assert [(p.code, p.place) for p in report.problems if p.stops] == [("missing_label", "train/images/b.jpg")]
    assert bring(place, folder, drop_bad_photos=True).photos == 1
    assert bring(place, folder, missing_is_empty=True).photos == 1
    assert labels_of(place.ledger)["train/images/b.jpg"].bbox_data == []


HOSTILE = {case.name: case for case in hostile.CASES if case.code is not None}


@pytest.mark.parametrize("name", ["text named .jpg", "pickle named .jpg", "SVG with a script"])
def test_a_hostile_photo_refuses_all_with_its_reason_unless_bad_photos_are_dropped(
    place: Place, tmp_path: Path, name: str
):
    folder = write(
        tmp_path / "set", yolo({"train/a": BOX, "train/b": BOX}) | {"train/images/b.jpg": HOSTILE[name].make()}
    )
    report = refused(place, folder)
    assert [(p.code, p.place) for p in report.problems if p.stops] == [("photo_unreadable", "train/images/b.jpg")]
    assert HOSTILE[name].code in report.problems[0].detail
    assert bring(place, folder, drop_bad_photos=True).photos == 1


def test_a_truncated_photo_a_bomb_and_a_kind_that_is_not_taken_are_named(place: Place, tmp_path: Path):
    files = yolo({"train/a": BOX, "train/b": BOX, "train/c": BOX}) | {
        "train/images/a.jpg": picture()[:700],
        "train/images/b.jpg": hostile.bomb(),
        "train/images/d.gif": b"GIF89a" + bytes(30),
    }
    report = refused(place, write(tmp_path / "set", files))
    told = {p.place: p.detail.split(":")[0] for p in report.problems if p.code == "photo_unreadable"}
    assert told == {
        "train/images/a.jpg": "undecodable",
        "train/images/b.jpg": "too_many_pixels",
        "train/images/d.gif": "unsupported_type",
    }


def test_where_and_by_whom_a_photo_was_taken_is_cut_out(place: Place, tmp_path: Path):
    files = yolo({"train/a": BOX}) | {"train/images/a.jpg": hostile.jpeg(exif=hostile.telling_exif())}
    bring(place, write(tmp_path / "set", files))
    for key in list(place.blobs.keys()):
        assert not [canary for canary in hostile.CANARIES if canary in place.blobs.get(key)]


def test_boxes_are_those_of_the_upright_photo(place: Place, tmp_path: Path):
    """Turned by EXIF, as phones store them: trainers turn the photo upright before they lay the shares on it."""
    files = yolo({"train/a": "1 0.25 0.5 0.5 1\n"}) | {"train/images/a.jpg": hostile.turned(6)}
    bring(place, write(tmp_path / "set", files))
    label = labels_of(place.ledger)["train/images/a.jpg"]
    assert (label.width, label.height) == (480, 360)
    assert (label.bbox_data or [])[0]["bbox"] == {"x1": 0.0, "y1": 0.0, "x2": 240.0, "y2": 360.0}


def test_a_dataset_that_speaks_of_another_size_is_refused(place: Place, tmp_path: Path):
    """COCO's pixels are of the photo as its tool saw it: on one that was turned or scaled since, every box would be wrong."""
    images = [{"id": 1, "file_name": "a.jpg", "width": HEIGHT, "height": WIDTH}]
    annotations = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 50, 50]}]
    text = json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "Stage1"}]})
    report = refused(place, write(tmp_path / "set", {"a.json": text, "a.jpg": picture()}))
    assert [p.code for p in report.problems] == ["size_differs"]


def test_copies_are_taken_once_and_refused_where_they_disagree(place: Place, tmp_path: Path):
    files = yolo({"train/a": BOX, "train/b": BOX, "train/c": BOX}) | {"train/images/b.jpg": picture(0)}
    report = bring(place, write(tmp_path / "set", files))
    assert (report.photos, codes(report).count("copy")) == (2, 1)
    files |= {"train/labels/b.txt": "4 0.5 0.5 0.2 0.5\n"}
    with pytest.raises(DatasetRejected, match="copies_disagree"):
        bring(place, write(tmp_path / "set", files))


def test_a_copy_that_differs_in_its_metadata_alone_is_the_same_photo(place: Place, tmp_path: Path):
    plain, telling = hostile.jpeg(), hostile.jpeg(exif=hostile.telling_exif())
    files = yolo({"train/a": BOX, "train/b": BOX}) | {"train/images/a.jpg": plain, "train/images/b.jpg": telling}
    report = bring(place, write(tmp_path / "set", files))
    assert (report.photos, codes(report).count("copy")) == (1, 1)


def test_a_photo_on_two_given_sides_is_a_leak_and_its_sides_are_not_kept(place: Place, tmp_path: Path):
    files = yolo({"train/a": BOX, "test/b": BOX, "valid/c": BOX}) | {"test/images/b.jpg": picture(0)}
    report = bring(place, write(tmp_path / "set", files), keep_splits=True)
    assert codes(report).count("leak") == 1
    sides = {name: row.metadata_ for name, row in labels_of(place.ledger).items()}
    assert sides == {"train/images/a.jpg": None, "valid/images/c.jpg": {"given_split": "val"}}


def test_a_mirrored_crop_on_another_side_is_a_leak_and_neither_side_is_kept(place: Place, tmp_path: Path):
    shown = np.stack([cv2.resize(labelled.picture(5), (480, 480), interpolation=cv2.INTER_CUBIC)] * 3, axis=-1)
    crop = np.ascontiguousarray(shown[20:460, 30:470][:, ::-1])
    files = yolo({"train/a": BOX, "test/b": BOX, "valid/c": BOX}) | {
        "train/images/a.jpg": cv2.imencode(".jpg", shown)[1].tobytes(),
        "test/images/b.jpg": cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes(),
    }
    report = bring(place, write(tmp_path / "set", files), keep_splits=True)
    assert [p.place for p in report.problems if p.code == "near_copy_leak"] == ["train/images/a.jpg, test/images/b.jpg"]
    assert {name: row.metadata_ for name, row in labels_of(place.ledger).items()} == {
        "train/images/a.jpg": None, "test/images/b.jpg": None, "valid/images/c.jpg": {"given_split": "val"},
    }  # fmt: skip


def test_given_sides_are_kept_only_when_asked_for(place: Place, tmp_path: Path):
    folder = write(tmp_path / "set", yolo({"train/a": BOX, "test/b": BOX}))
    report = bring(place, folder)
    assert report.sides == {"test": 1, "train": 1}
    assert {row.metadata_ is None for row in labels_of(place.ledger).values()} == {True}


def test_a_group_on_two_given_sides_is_a_leak_too(place: Place, tmp_path: Path):
    folder = write(
        tmp_path / "set", yolo({"train/p_0_0": BOX, "test/p_0_256": BOX, "test/q_0_0": BOX, "test/q_256_0": BOX})
    )
    report = bring(place, folder, group_regex=r"(?P<parent>[a-z])_\d+_\d+", keep_splits=True)
    assert codes(report).count("leak") == 1
    labels = labels_of(place.ledger)
    assert {row.group for row in labels.values()} == {"set:p", "set:q"}
    assert {name: (row.metadata_ or {}).get("given_split") for name, row in labels.items()} == {
        "train/images/p_0_0.jpg": None, "test/images/p_0_256.jpg": None,
        "test/images/q_0_0.jpg": "test", "test/images/q_256_0.jpg": "test",
    }  # fmt: skip


def test_the_expression_of_the_help_finds_one_parent_on_three_given_sides(place: Place, tmp_path: Path):
    tiles = {f"{side}/leaf1_{x}_0": BOX for side, x in (("train", 0), ("valid", 256), ("test", 512))}
    report = bring(place, write(tmp_path / "set", yolo(tiles)), group_regex=r"(.+)_\d+_\d+", keep_splits=True)
    assert codes(report).count("leak") == 1
    assert {(row.group, row.metadata_) for row in labels_of(place.ledger).values()} == {("set:leaf1", None)}


def test_tiles_that_are_recognised_only_train_and_that_is_said(place: Place, tmp_path: Path):
    names = [f"{side}/leaf{n}_{x}_0_{x + 256}_256" for n in range(2) for side, x in (("train", 0), ("test", 205))]
    report = bring(place, write(tmp_path / "set", yolo(dict.fromkeys(names, BOX))), keep_splits=True)
    assert (codes(report).count("leak"), codes(report).count("may_not_test")) == (2, 1)
    labels = labels_of(place.ledger).values()
    assert {(row.group, row.may_test) for row in labels} == {("set:leaf0", False), ("set:leaf1", False)}


def test_an_expression_that_cannot_be_used_is_refused_before_any_photo_is_looked_at(place: Place, tmp_path: Path):
    said: list[str] = []
    files = formats.opened(write(tmp_path / "set", yolo(GOOD)), tmp_path)
    with pytest.raises(RequestInvalid, match="group-regex"):
        importing.bring_in(
            place, BANANA, files, importing.Wish(group_regex="(("), PhotoLimits(), lambda what, *_: said.append(what)
        )
    assert said == []


def test_a_mapped_name_that_no_label_has_is_said(place: Place, tmp_path: Path):
    folder = write(tmp_path / "set", yolo(GOOD))
    report = bring(place, folder, class_map={"Helthy": "Healthy", "Nope": None, "Stage1": "Stage2"}, dry_run=True)
    assert sorted(p.place for p in report.problems if p.code == "map_unused") == ["Helthy", "Nope"]


def test_of_several_questions_to_a_photo_those_that_are_mapped_away_do_not_count(place: Place, tmp_path: Path):
    answers = [
        {"type": "choices", "from_name": n, "value": {"choices": [c]}}
        for n, c in (("quality", "Good"), ("stage", "Stage2"))
    ]
    task = {"data": {"image": "a.jpg"}, "annotations": [{"result": answers}]}
    folder = write(tmp_path / "set", {"tasks.json": json.dumps([task]), "a.jpg": picture()})
    assert "class_unmapped" in codes(refused(place, folder))
    assert "class_ambiguous" in codes(refused(place, folder, class_map={"Good": "Healthy"}))
    report = bring(place, folder, class_map={"Good": None})
    assert (report.photos, labels_of(place.ledger)["a.jpg"].class_name) == (1, "Stage2")


def test_what_the_expression_does_not_match_may_train_and_never_test(place: Place, tmp_path: Path):
    folder = write(tmp_path / "set", yolo({"train/p_0_0": BOX, "test/odd": BOX}))
    report = bring(place, folder, group_regex=r"([a-z])_\d+_\d+", keep_splits=True)
    odd = labels_of(place.ledger)["test/images/odd.jpg"]
    assert (odd.group, odd.may_test, odd.metadata_) == (None, False, None)
    assert [p.count for p in report.problems if p.code == "may_not_test"] == [1]
    with pytest.raises(RequestInvalid, match="group-regex"):
        bring(place, folder, group_regex="(")


def test_a_label_that_is_here_stays_unless_it_is_to_be_replaced_and_then_the_old_one_is_in_the_audit_log(
    place: Place, tmp_path: Path
):
    bring(place, write(tmp_path / "set", yolo({"train/a": BOX})))
    write(tmp_path / "set", {"train/labels/a.txt": "4 0.5 0.5 0.2 0.5\n"})
    report = bring(place, tmp_path / "set")
    assert (report.photos, report.replaced, labels_of(place.ledger)["train/images/a.jpg"].class_name) == (
        0,
        0,
        "Stage1",
    )
    report = bring(place, tmp_path / "set", replace=True)
    label = labels_of(place.ledger)["train/images/a.jpg"]
    assert (report.photos, report.replaced, label.class_name, label.revision) == (0, 1, "Stage4", 2)
    with place.ledger.reading() as session:
        told = next(entry for entry in audit.latest(session) if entry.action == "label.revise")
    assert told.detail is not None
    assert (told.detail["before"]["class_name"], told.detail["after"]["class_name"]) == ("Stage1", "Stage4")
    assert bring(place, tmp_path / "set", replace=True).replaced == 0


def test_a_replaced_label_of_a_person_keeps_neither_their_file_name_nor_their_words(place: Place, tmp_path: Path):
    folder = write(tmp_path / "set", yolo({"train/a": BOX}))
    bring(place, folder)
    with place.ledger.transaction() as session:
        label = session.scalars(select(TrainingData)).one()
        label.source, label.feedback_ids, label.name, label.class_id = "feedback", ["word"], "Amina 3.jpg", 2
    assert bring(place, folder, replace=True).replaced == 1
    (name,) = labels_of(place.ledger)
    label = labels_of(place.ledger)[name]
    assert (name, label.source, label.feedback_ids) == ("train/images/a.jpg", "import", None)
    with place.ledger.reading() as session:
        said = session.scalars(select(AuditEntry).where(AuditEntry.action == "label.revise")).one()
    assert said.detail["before"]["feedback_ids"] == ["word"]
    assert "Amina" not in json.dumps(said.detail)


def test_a_photo_whose_sender_refused_is_left_out(place: Place, tmp_path: Path):
    folder = write(tmp_path / "set", yolo({"train/a": BOX, "train/b": BOX}))
    bring(place, folder)
    with place.ledger.transaction() as session:
        label = session.scalars(select(TrainingData).where(TrainingData.name == "train/images/a.jpg")).one()
        session.get_one(Photo, label.photo_id).consent = False
        session.delete(label)
    report = bring(place, folder)
    assert (report.photos, codes(report).count("consent_refused")) == (0, 1)


def test_a_dataset_that_changes_while_it_is_read_is_refused(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = write(tmp_path / "set", yolo({"train/a": BOX}))
    look = importing._what_is_new

    def changed(*args: Any) -> Any:
        (folder / "train/images/a.jpg").write_bytes(picture(99))
        return look(*args)

    monkeypatch.setattr(importing, "_what_is_new", changed)
    with pytest.raises(DatasetRejected, match="changed while it was read"):
        bring(place, folder)
    assert rows(place.ledger) == NOTHING


def test_a_zipped_dataset_of_everything_bad_is_refused_with_every_reason(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Row 34 of the fault matrix: no half import, no marker, no network, and the reasons in one list."""
    monkeypatch.chdir(tmp_path)
    files = yolo(
        {
            "train/a": "1 nan 0.5 0.1 0.1\n1 0.5 0.5 -0.1 0.1\n9 0.5 0.5 0.1 0.1\n",
            "train/b": "3 0.5 0.5 0.1 0.1\n",
            "train/c": None,
        },
        names=(*BANANA.class_names[:3], "Rot"),
        more="download: |\n  import pathlib; pathlib.Path('marker').touch()\n",
    ) | {"train/images/d.jpg": b"<html>", "train/labels/d.txt": BOX}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    report = refused(place, zipped(tmp_path / "set.zip", files), scratch=scratch)
    stops = {p.code for p in report.problems if p.stops}
    assert stops == {
        "download_line", "box_not_finite", "box_empty", "box_class_unknown", "class_unmapped", "missing_label", "photo_unreadable",
    }  # fmt: skip
    assert not (tmp_path / "marker").exists()


def test_names_that_no_database_takes_are_escaped(either_place: Place, tmp_path: Path):
    files = {"train/" + "x" * 150: BOX}
    folder = write(tmp_path / "set", yolo(files, more="roboflow: {workspace: x}\n"))
    (folder / "train/images" / ("x" * 150 + ".jpg")).rename(
        folder / b"train/images/a\x01\xff.jpg".decode("utf-8", "surrogateescape")
    )
    (folder / "train/labels" / ("x" * 150 + ".txt")).rename(
        folder / b"train/labels/a\x01\xff.txt".decode("utf-8", "surrogateescape")
    )
    bring(either_place, folder)
    assert list(labels_of(either_place.ledger)) == ["train/images/a\\x01\\udcff.jpg"]


def test_a_lost_photo_of_a_dataset_is_found_by_the_audit(place: Place, tmp_path: Path):
    bring(place, write(tmp_path / "set", yolo({"train/a": BOX})))
    key = labels_of(place.ledger)["train/images/a.jpg"].image_path
    place.blobs.delete(key)
    (found,) = [finding for finding in audit_all(Kept(place.ledger, place.blobs)) if finding.check == "photos"]
    assert (found.ok, f"{key} (missing; of a dataset)" in found.detail) == (False, True)


def test_of_two_imports_of_one_dataset_at_once_the_second_keeps_nothing(
    either_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    place, folder = either_place, write(tmp_path / "set", yolo({"train/a": BOX, "train/b": BOX}))
    look = importing._what_is_new

    def after_the_other(*args: Any) -> Any:
        found = look(*args)
        monkeypatch.setattr(importing, "_what_is_new", look)
        bring(place, folder)
        return found

    monkeypatch.setattr(importing, "_what_is_new", after_the_other)
    with pytest.raises(DatasetRejected, match="run the same command again"):
        bring(place, folder)
    assert rows(place.ledger) == {"photos": 2, "training_data": 2, "imports": 1, "audit": 1}
    assert bring(place, folder).photos == 0


def test_an_object_that_is_removed_while_rows_are_written_is_put_back(
    either_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same photo's last answer is deleted meanwhile; also with so many photos that no single one is held."""
    place, folder = either_place, write(tmp_path / "set", yolo({"train/a": BOX, "train/b": BOX}))
    hold = imports.hold_objects

    def removed(session: Session, keys: Iterable[str]) -> None:
        hold(session, wanted := list(keys))
        place.blobs.delete(wanted[0])

    monkeypatch.setattr(imports, "hold_objects", removed)
    monkeypatch.setattr(imports, "MOST_HELD", 1)
    bring(place, folder)
    for label in labels_of(place.ledger).values():
        place.blobs.verify(label.image_path)
