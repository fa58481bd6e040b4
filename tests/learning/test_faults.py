"""Faults of starter projects (field record, part 1C) that datasets must not have again, each by its number there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.learning.dataset_files import BANANA, NAMES, bring, labels_of, picture, rows, write, yolo

from leafloop.errors import DatasetRejected
from leafloop.learning.datasets import exporting, formats
from leafloop.learning.datasets.exporting import Wish
from leafloop.learning.datasets.intake import Place
from leafloop.storage.tables import Photo, TrainingData
from leafloop.vision.photo import read_kept

BOX = "1 0.5 0.5 0.2 0.5\n"


def test_1c_2_a_photo_is_never_written_without_its_label_file(place: Place, tmp_path: Path):
    """There, corrected photos went to `train/images` without one, and "it is Stage3" taught "there is nothing here"."""
    bring(place, write(tmp_path / "set", yolo({"train/boxed": BOX, "train/empty": ""})))
    data = picture(50)
    key = place.blobs.put(data)
    with place.ledger.transaction() as session:
        photo = Photo(
            sha256=key,
            stored_sha256=key,
            media_type="image/jpeg",
            format="jpeg",
            bytes=len(data),
            width=200,
            height=160,
        )
        session.add(photo)
        session.flush()
        weak = {"class_name": NAMES[3], "class_id": 3, "outcome": "diseased", "strength": "weak", "bbox_data": None}
        session.add(
            TrainingData(
                photo_id=photo.id, image_path=key, image_hash=key, source="feedback", is_validated=True, **weak
            )
        )
    report = exporting.write_out(place.ledger, place.blobs, BANANA, tmp_path / "out", Wish("yolo"))
    photos = {path.stem for path in (tmp_path / "out/images").rglob("*.jpg")}
    assert photos == {path.stem for path in (tmp_path / "out/labels").rglob("*.txt")}
    assert (len(photos), report.weak_left_out) == (2, [key[:16]])
    again = formats.read(formats.opened(tmp_path / "out", tmp_path))
    assert sorted(len(photo.boxes or ()) for photo in again.photos) == [0, 1]
    assert not any(photo.says_nothing for photo in again.photos)


def test_1c_2_a_photo_without_a_label_file_is_not_read_as_empty(place: Place, tmp_path: Path):
    with pytest.raises(DatasetRejected, match="missing_label"):
        bring(place, write(tmp_path / "set", yolo({"train/a": BOX, "train/b": None})))
    assert rows(place.ledger)["training_data"] == 0


def test_1c_5_an_unknown_class_is_refused_and_never_becomes_the_first_one(place: Place, tmp_path: Path):
    """There, an unknown class became number 0, which meant healthy."""
    folder = write(tmp_path / "set", yolo({"train/a": BOX, "train/b": "0 0.5 0.5 0.2 0.2\n"}, ("Rotten", NAMES[1])))
    with pytest.raises(DatasetRejected, match="class_unmapped"):
        bring(place, folder)
    assert rows(place.ledger)["training_data"] == 0


def test_1c_5_a_class_of_the_whole_photo_never_becomes_a_box_around_it(place: Place, tmp_path: Path):
    task = f'[{{"data": {{"image": "a.jpg"}}, "annotations": [{{"result": [{{"value": {{"choices": ["{NAMES[3]}"]}}}}]}}]}}]'
    bring(place, write(tmp_path / "set", {"tasks.json": task, "a.jpg": picture()}))
    label = labels_of(place.ledger)["a.jpg"]
    assert (label.strength, label.bbox_data, label.class_name) == ("weak", None, NAMES[3])
    for form in ("yolo", "coco"):
        assert exporting.write_out(place.ledger, place.blobs, BANANA, tmp_path / form, Wish(form)).photos == 0


def test_1c_8_photos_are_kept_and_written_at_their_own_size(place: Place, tmp_path: Path):
    """There, training saw photos shrunk to a fourth and serving saw them as they are. A dataset's pixels are never scaled here."""
    data = picture(3, 1024, 768)
    bring(place, write(tmp_path / "set", yolo({"train/a": BOX}) | {"train/images/a.jpg": data}))
    exporting.write_out(place.ledger, place.blobs, BANANA, tmp_path / "out", Wish("yolo"))
    (written,) = (tmp_path / "out/images/train").iterdir()
    assert (read_kept(written.read_bytes()) == read_kept(data)).all()
    label = labels_of(place.ledger)["train/images/a.jpg"]
    assert (label.width, label.height) == (1024, 768)
