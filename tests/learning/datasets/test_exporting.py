"""Labels go out as datasets that the real tools open, and come back as they were."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image, ImageOps
from pycocotools.coco import COCO
from sqlalchemy import select
from tests import hostile
from tests.learning.dataset_files import BANANA, NOTHING, bring, labels_of, picture, rows, write, yolo

from leafloop.errors import DatasetRejected, NotFound, StorageFull
from leafloop.learning.datasets import exporting, formats
from leafloop.learning.datasets.exporting import Report, Wish
from leafloop.learning.datasets.intake import Place
from leafloop.learning.snapshots import building
from leafloop.learning.snapshots.building import Options
from leafloop.storage.blobs import LocalBlobs
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Photo, Tombstone, TrainingData

BOXES = "1 0.5 0.5 0.2 0.5\n5 0.123456 0.654321 0.111111 0.2\n"
SET = {"train/a": BOXES, "train/b": "", "valid/c": "0 0.25 0.25 0.1 0.1\n", "test/d": "6 0.5 0.5 1 1\n"}


def out(place: Place, folder: Path, form: str, **wish: Any) -> Report:
    return exporting.write_out(place.ledger, place.blobs, BANANA, folder, Wish(form, **wish))


@pytest.fixture
def filled(place: Place, tmp_path: Path) -> Place:
    bring(place, write(tmp_path / "set", yolo(SET)), keep_splits=True)
    return place


def add_weak(place: Place, class_name: str | None, outcome: str, seed: int = 77) -> None:
    """A label as a review makes it when a class was corrected and no box drawn."""
    data = picture(seed)
    key = place.blobs.put(data)
    with place.ledger.transaction() as session:
        photo = Photo(
            sha256=key, stored_sha256=key, media_type="image/jpeg", format="jpeg", bytes=len(data), width=200, height=160
        )  # fmt: skip
        session.add(photo)
        session.flush()
        session.add(
            TrainingData(
                photo_id=photo.id, image_path=key, image_hash=key, name=f"weak-{seed}", width=200, height=160, outcome=outcome,
                class_name=class_name, class_id=None if class_name is None else BANANA.id_of(class_name), strength="weak",
                source="feedback", is_validated=True,
            )
        )  # fmt: skip


@pytest.mark.parametrize("form", formats.FORMATS)
@pytest.mark.parametrize("then", formats.FORMATS)
def test_a_dataset_goes_out_in_one_form_in_another_and_comes_back_as_it_was(
    filled: Place, tmp_path: Path, form: str, then: str
):
    """Boxes to half a pixel, confirmed negatives as such, the given sides; through two forms and two homes."""
    add_weak(filled, "Stage2", "diseased")
    homes = [filled]
    for number, each in enumerate((form, then)):
        out(homes[-1], tmp_path / f"out{number}", each)
        ledger = Ledger(f"sqlite:///{tmp_path / f'home{number}.db'}")
        ledger.upgrade()
        homes.append(Place(ledger, LocalBlobs(tmp_path / f"blobs{number}"), filled.decoders))
        bring(homes[-1], tmp_path / f"out{number}", keep_splits=True)
    before, after = ({row.image_path: row for row in labels_of(home.ledger).values()} for home in (filled, homes[-1]))
    assert len(after) == len(before) if {form, then} == {"labelstudio"} else len(after) == len(before) - 1
    for key, label in after.items():
        was = before[key]
        assert (label.strength, label.class_name, label.outcome) == (was.strength, was.class_name, was.outcome)
        assert (label.metadata_ or {}).get("given_split", "train") == (was.metadata_ or {}).get("given_split", "train")
        for box, old in zip(label.bbox_data or [], was.bbox_data or [], strict=True):
            assert box["class_name"] == old["class_name"]
            assert all(abs(box["bbox"][edge] - old["bbox"][edge]) < 0.5 for edge in box["bbox"])
    for home in homes[1:]:
        home.ledger.close()


def test_yolo_has_an_empty_label_file_for_a_confirmed_negative_and_four_keys(filled: Place, tmp_path: Path):
    report = out(filled, tmp_path / "out", "yolo")
    assert (report.photos, report.boxes, report.empty, report.sides) == (4, 4, 1, {"train": 2, "val": 1, "test": 1})
    described = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert set(described) == {"train", "val", "test", "names"}
    assert list(described["names"].values()) == list(BANANA.class_names)
    photos = sorted(path.stem for path in (tmp_path / "out/images").rglob("*.jpg"))
    assert photos == sorted(path.stem for path in (tmp_path / "out/labels").rglob("*.txt"))
    assert photos == sorted(row.image_hash[:16] for row in labels_of(filled.ledger).values())
    assert [path.stat().st_size for path in (tmp_path / "out/labels").rglob("*.txt")].count(0) == 1
    names = json.loads((tmp_path / "out/photos.json").read_text())
    assert {facts["name"] for facts in names.values()} == set(labels_of(filled.ledger))


def test_the_real_pycocotools_opens_our_coco(filled: Place, tmp_path: Path):
    out(filled, tmp_path / "out", "coco", sides=("train",))
    with contextlib.redirect_stdout(io.StringIO()):
        opened = COCO(str(tmp_path / "out/annotations/train.json"))
    assert [c["name"] for c in opened.loadCats(opened.getCatIds())] == list(BANANA.class_names)
    images = opened.loadImgs(opened.getImgIds())
    assert sorted(len(opened.getAnnIds(imgIds=image["id"])) for image in images) == [0, 2]
    assert all((tmp_path / "out/images" / image["file_name"]).is_file() for image in images)
    (box,) = [a for a in opened.loadAnns(opened.getAnnIds()) if a["category_id"] == 2]
    assert box["bbox"] == [80.0, 40.0, 40.0, 80.0]


def test_a_weak_label_is_no_box_and_no_empty_photo(filled: Place, tmp_path: Path):
    """Fault 1C-2: a correction without boxes became a photo without a label file, which teaches "there is nothing here"."""
    add_weak(filled, "Stage3", "diseased")
    for form in ("yolo", "coco"):
        report = out(filled, tmp_path / form, form)
        assert (report.photos, report.weak_left_out) == (4, ["weak-77"])
    report = out(filled, tmp_path / "ls", "labelstudio")
    assert (report.photos, report.weak_left_out) == (5, [])
    tasks = json.loads((tmp_path / "ls/tasks.json").read_text())
    (task,) = [each for each in tasks if each["data"]["name"] == "weak-77"]
    assert [result["type"] for result in task["annotations"][0]["result"]] == ["choices", "choices"]


def test_what_was_refused_or_not_validated_stays_here(filled: Place, tmp_path: Path):
    labels = labels_of(filled.ledger)
    with filled.ledger.transaction() as session:
        session.get_one(Photo, labels["train/images/a.jpg"].photo_id).consent = False
        session.get_one(TrainingData, labels["train/images/b.jpg"].id).is_validated = False
    report = out(filled, tmp_path / "out", "yolo")
    assert (report.photos, report.refused) == (2, 1)


def test_a_snapshot_goes_out_as_it_was_made_whatever_its_labels_say_by_now(filled: Place, tmp_path: Path):
    made = building.make(filled.ledger, filled.blobs, BANANA, Options(allow_small=True, gate=None), actor="test")
    with filled.ledger.transaction() as session:
        for row in session.scalars(select(TrainingData)):
            row.bbox_data, row.is_validated = [], False
    report = out(filled, tmp_path / "out", "yolo", snapshot=made.hash[:10])
    assert (report.photos, report.boxes, report.empty, report.sides) == (4, 4, 1, {"train": 2, "val": 1, "test": 1})
    assert out(filled, tmp_path / "test", "coco", snapshot=made.hash, sides=("test",)).photos == 1
    with filled.ledger.transaction() as session:
        gone = session.scalars(select(TrainingData)).first()
        assert gone is not None
        session.add(Tombstone(image_hash=gone.image_hash, stored_sha256=gone.image_path, reason="asked", actor="test"))
    assert out(filled, tmp_path / "erased", "yolo", snapshot=made.hash).photos == 3
    with pytest.raises(NotFound, match="No snapshot begins with 'beef'"):
        out(filled, tmp_path / "none", "yolo", snapshot="beef")


def test_nothing_is_overwritten(filled: Place, tmp_path: Path):
    write(tmp_path / "out", {"mine.txt": "x"})
    with pytest.raises(DatasetRejected, match="nothing is overwritten"):
        out(filled, tmp_path / "out", "yolo")
    with pytest.raises(DatasetRejected, match="nothing is overwritten"):
        out(filled, tmp_path / "out/mine.txt", "yolo")
    assert (tmp_path / "out/mine.txt").read_text() == "x"
    (tmp_path / "empty").mkdir()
    assert out(filled, tmp_path / "empty", "yolo").photos == 4


def test_an_export_that_breaks_off_leaves_nothing(filled: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if len(list(self.parent.iterdir())) == 1:
            raise OSError(28, "No space left on device")
        return whole(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageFull):
        out(filled, tmp_path / "out", "coco")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_photo_that_carries_its_turn_is_said_and_can_be_written_upright(place: Place, tmp_path: Path):
    files = yolo({"train/a": "1 0.25 0.5 0.5 1\n"}) | {"train/images/a.jpg": hostile.turned(6)}
    bring(place, write(tmp_path / "set", files))
    report = out(place, tmp_path / "asis", "yolo")
    assert report.turned == 1
    assert any("--upright" in word for word in report.warnings)
    out(place, tmp_path / "upright", "yolo", upright=True)
    (asis,), (upright,) = (list((tmp_path / name / "images/train").iterdir()) for name in ("asis", "upright"))
    with Image.open(asis) as stored, Image.open(upright) as turned:
        assert (stored.size, turned.size) == ((360, 480), (480, 360))
        assert ImageOps.exif_transpose(stored).size == turned.size


@pytest.mark.parametrize("form", formats.FORMATS)
def test_a_group_that_the_dataset_told_is_told_again(place: Place, tmp_path: Path, form: str):
    bring(place, write(tmp_path / "set", yolo({"train/p-1": BOXES})), group_regex=r"(p)-\d")
    out(place, tmp_path / "out", form)
    ledger = Ledger(f"sqlite:///{tmp_path / 'other.db'}")
    ledger.upgrade()
    other = Place(ledger, LocalBlobs(tmp_path / "other"), place.decoders)
    assert rows(ledger) == NOTHING
    bring(other, tmp_path / "out")
    assert [row.group for row in labels_of(ledger).values()] == ["out:set:p"]
    ledger.close()
