"""Snapshots: the same labels give the same name on any machine; what is in, what is left out and why; nothing is half-made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from tests.learning.labelled import NAMES, Labelled, hash_of, labelled

from leafloop.errors import SnapshotRejected
from leafloop.learning.snapshots import manifest
from leafloop.learning.snapshots.building import Options
from leafloop.learning.snapshots.eligibility import QualityGate
from leafloop.learning.snapshots.shares import AuthorCap
from leafloop.storage.blobs import LocalBlobs
from leafloop.storage.tables import Photo, PhotoSide, Snapshot, SnapshotPhoto, SplitGroup, TrainingData, now


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'leafloop.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def both(url: str, tmp_path: Path) -> Iterator[Labelled]:
    """On both databases."""
    opened = labelled(url, tmp_path)
    yield opened
    opened.ledger.close()


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Labelled]:
    """On SQLite, for what has nothing to do with the database."""
    opened = labelled(f"sqlite:///{tmp_path / 'leafloop.db'}", tmp_path)
    yield opened
    opened.ledger.close()


def test_a_snapshot_names_every_photo_with_its_label_and_side(both: Labelled) -> None:
    both.many(40)
    made = both.make(Options())
    assert made.is_new
    assert made.photos == 40 == sum(made.splits.values())
    assert made.splits["train"] == 28
    line = both.lines(made)["p1"]
    assert line | {"split": "", "group": ""} == {
        "sha256": line["sha256"], "stored_sha256": line["stored_sha256"], "split": "", "group": "", "source": "feedback",
        "source_id": "review-p1", "feedback_ids": ["word-p1"], "name": None, "width": 96, "height": 96,
        "outcome": "diseased", "class": NAMES[2], "strength": "strong",
        "labels": [{"class_id": 2, "class_name": NAMES[2], "bbox": {"x1": 1.0, "y1": 2.5, "x2": 30.25, "y2": 40.0}}],
    }  # fmt: skip
    header = manifest.read_header(both.blobs, made.hash)
    assert header["photos"] == 40
    assert header["classes"]["names"] == list(NAMES)
    with both.ledger.reading() as session:
        row = session.get(Snapshot, made.hash)
        assert row is not None
        assert row.parts == [part["sha256"] for part in header["parts"]]
        mirrored = session.execute(select(TrainingData.dataset_split, TrainingData.split_group)).all()
        assert all(side and group for side, group in mirrored)


def test_made_again_it_is_the_snapshot_that_is_there(both: Labelled) -> None:
    both.many(12)
    first, again = both.make(), both.make()
    assert again.hash == first.hash
    assert (first.is_new, again.is_new) == (True, False)
    with both.ledger.reading() as session:
        assert session.scalar(select(func.count()).select_from(Snapshot)) == 1


def test_both_databases_and_any_order_give_the_same_name(postgres_url: str, tmp_path: Path) -> None:
    one = labelled(f"sqlite:///{tmp_path / 'one.db'}", tmp_path / "one")
    other = labelled(postgres_url, tmp_path / "other")
    boxes = [
        {"class_id": 1, "class_name": NAMES[1], "bbox": {"x1": x, "y1": -0.0, "x2": 33.333333, "y2": 90}}
        for x in (3, 1e-9, 2.005)
    ]
    for place, order in ((one, range(30)), (other, reversed(range(30)))):
        for n in order:
            place.add(f"p{n}", 1 + n % 3, group=f"plant {n // 4}", bbox_data=boxes if n % 2 else boxes[::-1])
    names = {place.make().hash for place in (one, other)}
    one.ledger.close()
    other.ledger.close()
    assert len(names) == 1


def test_the_database_itself_refuses_a_test_photo_in_train_and_another_side_for_a_used_group(both: Labelled) -> None:
    both.many(40)
    made = both.make()
    with both.ledger.reading() as session:
        frozen = session.scalars(select(SnapshotPhoto).where(SnapshotPhoto.split == "test")).first()
        assert frozen is not None
    wrong = {
        "snapshot_hash": made.hash, "image_hash": "f" * 64, "stored_sha256": "e" * 64, "group_id": frozen.group_id,
        "split": "train",
    }  # fmt: skip
    with pytest.raises(IntegrityError), both.ledger.transaction() as session:
        session.execute(insert(SnapshotPhoto), [wrong])
    with pytest.raises(IntegrityError), both.ledger.transaction() as session:
        session.execute(
            update(SnapshotPhoto).where(SnapshotPhoto.image_hash == frozen.image_hash).values(split="train")
        )
    with pytest.raises(IntegrityError), both.ledger.transaction() as session:
        session.execute(update(SplitGroup).where(SplitGroup.id == frozen.group_id).values(split="train"))
    with pytest.raises(IntegrityError), both.ledger.transaction() as session:
        session.execute(text("DELETE FROM split_groups WHERE id = :id").bindparams(id=frozen.group_id))


def _of(place: Labelled, side: str) -> SnapshotPhoto:
    with place.ledger.reading() as session:
        return session.scalars(select(SnapshotPhoto).where(SnapshotPhoto.split == side)).all()[0]


def test_the_database_itself_refuses_a_test_photo_in_train_also_in_a_group_that_trains(both: Labelled) -> None:
    both.many(40)
    both.make()
    test, train = _of(both, "test"), _of(both, "train")
    another = {"photos": 1, "splits": {}, "options": {}, "report": {}, "parts": [], "actor": "x", "created_at": now()}
    moved = {"group_id": train.group_id, "split": "train"}
    photo = {"snapshot_hash": "0" * 64, "image_hash": test.image_hash, "stored_sha256": test.stored_sha256}
    with pytest.raises(IntegrityError), both.ledger.transaction() as session:
        session.execute(insert(Snapshot), [{"hash": "0" * 64, **another}])
        session.execute(insert(SnapshotPhoto), [photo | moved])
    with pytest.raises(IntegrityError), both.ledger.transaction() as session:
        session.execute(update(SnapshotPhoto).where(SnapshotPhoto.image_hash == test.image_hash).values(**moved))
    with pytest.raises(IntegrityError), both.ledger.transaction() as session:
        session.execute(insert(PhotoSide), [{"image_hash": test.image_hash, **moved}])


def test_the_side_of_a_photo_is_neither_changed_nor_forgotten_also_when_its_snapshot_is_gone(both: Labelled) -> None:
    both.many(40)
    both.make()
    test, train = _of(both, "test"), _of(both, "train")
    with both.ledger.transaction() as session:
        session.execute(text("DELETE FROM snapshots"))
    moved = {"group_id": train.group_id, "split": "train"}
    with pytest.raises(IntegrityError, match="never changes its side"), both.ledger.transaction() as session:
        session.execute(update(PhotoSide).where(PhotoSide.image_hash == test.image_hash).values(**moved))
    with pytest.raises(IntegrityError, match="never changes its side"), both.ledger.transaction() as session:
        session.execute(delete(PhotoSide).where(PhotoSide.image_hash == test.image_hash))


def test_a_photo_never_changes_its_side_as_data_grow(both: Labelled) -> None:
    both.many(20)
    before = both.sides(both.make())
    both.many(60, "later")
    after = both.sides(both.make())
    assert {name: after[name] for name in before} == before
    assert len(after) == 80


def test_what_is_left_out_is_counted_with_its_reason(field: Labelled) -> None:
    field.many(10)
    field.add("refused", consent=False)
    field.add("unsure", outcome="uncertain", class_name=None, bbox_data=None, strength="weak")
    field.add("blurred", blur_score=3.0)
    field.add("dark", brightness_score=20.0)
    field.add("guess", is_validated=False)
    field.add("of a model", source="model")
    field.add("strange", class_name="No such class")
    field.add("other box", bbox_data=[{"class_id": 1, "class_name": NAMES[2], "bbox": {}}])
    field.add("empty", outcome=None, class_name=None, bbox_data=None, strength="weak")
    made = field.make()
    assert made.photos == 10
    assert made.left_out == {
        "blurred": 1, "consent_refused": 1, "no_label": 1, "not_validated": 2, "too_dark": 1, "uncertain": 1,
        "unknown_class": 2,
    }  # fmt: skip


def test_where_consent_is_required_a_person_who_was_not_asked_has_not_agreed_and_a_dataset_has(field: Labelled) -> None:
    field.add("agreed", consent=True)
    field.add("not asked")
    field.add("imported", source="import", source_id="import-1")
    made = field.make(Options(allow_small=True, consent_required=True))
    assert set(field.lines(made)) == {"agreed", "imported"}
    assert made.left_out == {"consent_not_given": 1}


def test_consent_that_is_taken_back_leaves_the_next_snapshot_out_and_the_old_one_as_it_was(field: Labelled) -> None:
    field.many(10)
    gone = field.add("gone", consent=True)
    first = field.make()
    with field.ledger.transaction() as session:
        session.execute(update(Photo).where(Photo.sha256 == gone).values(consent=False))
    second = field.make()
    assert "gone" in field.lines(first)
    assert "gone" not in field.lines(second)
    assert second.left_out == {"consent_refused": 1}


def test_a_picture_that_somebody_refused_is_out_under_whatever_bytes_it_came(field: Labelled) -> None:
    field.many(10)
    field.add("of a dataset", source="import", stored=hash_of("the kept copy"))
    field.add("the same with another EXIF", stored=hash_of("the kept copy"), consent=False, is_validated=False)
    made = field.make()
    assert "of a dataset" not in field.lines(made)
    assert made.left_out == {"consent_refused": 1, "not_validated": 1}


def test_weak_labels_are_in_and_say_so_without_boxes(field: Labelled) -> None:
    field.many(6)
    field.add("weak", 2, strength="weak", bbox_data=None)
    field.add("nothing there", None, outcome="no_leaf", class_name=None)
    made = field.make()
    lines = field.lines(made)
    assert (lines["weak"]["strength"], lines["weak"]["labels"]) == ("weak", None)
    assert (lines["nothing there"]["strength"], lines["nothing there"]["labels"]) == ("strong", [])
    assert sum(made.weak.values()) == 1
    assert "(no_leaf)" in made.classes


def test_one_author_has_no_more_than_a_share_of_what_people_said(field: Labelled) -> None:
    field.many(60, "many", user_id="loud", key_id="k1")
    field.many(30, "few")
    field.many(10, "brought", source="import")
    made = field.make(Options(allow_small=True, author_cap=AuthorCap(share=0.25, floor=4)))
    train = [line for line in field.lines(made).values() if line["split"] == "train" and line["source"] == "feedback"]
    loud = [line for line in train if line["source_id"].startswith("review-many")]
    assert made.left_out["over_author_cap"] > 10
    assert 4 <= len(loud) <= 0.25 * len(train) + 1
    assert field.make(Options(allow_small=True, author_cap=AuthorCap(share=0.25, floor=4))).hash == made.hash


def test_who_is_alone_is_not_capped(field: Labelled) -> None:
    field.many(60, user_id="alone")
    assert field.make().left_out == {}


def test_the_gate_says_every_reason_and_nothing_is_made(field: Labelled) -> None:
    with pytest.raises(SnapshotRejected, match="no photo with a validated label"):
        field.make()
    field.add("only one")
    with pytest.raises(SnapshotRejected, match=r"val has 0 photos.*test has 0.*1 classes") as caught:
        field.make(Options())
    assert len(caught.value.fields["reasons"]) == 3  # type: ignore[arg-type]
    with field.ledger.reading() as session:
        assert session.scalar(select(func.count()).select_from(Snapshot)) == 0
        assert session.scalar(select(func.count()).select_from(SplitGroup)) == 0
    assert field.make().photos == 1


def test_a_dry_run_says_the_name_and_keeps_nothing(field: Labelled) -> None:
    field.many(20)
    said = field.make(dry_run=True)
    assert list(field.blobs.keys()) == []
    with field.ledger.reading() as session:
        assert session.scalar(select(func.count()).select_from(SplitGroup)) == 0
    assert field.make().hash == said.hash


def test_a_photo_whose_object_is_lost_is_left_out_when_it_is_first_looked_at(field: Labelled) -> None:
    field.many(6)
    lost = field.add("lost")
    with field.ledger.transaction() as session:
        session.execute(update(Photo).where(Photo.sha256 == lost).values(likeness=None))
    assert field.make().left_out == {"object_lost": 1}


def test_a_likeness_is_computed_once_and_one_without_a_row_each_time(field: Labelled, tmp_path: Path) -> None:
    from tests.hostile import encode, photo

    field.many(4)
    key = field.blobs.put(encode(photo(), "JPEG"))
    seen, loose = field.add("seen", stored=key), field.add("loose", stored=key)
    with field.ledger.transaction() as session:
        session.execute(update(Photo).where(Photo.sha256 == seen).values(likeness=None))
        session.execute(text("DELETE FROM photos WHERE sha256 = :hash").bindparams(hash=loose))
    sides = field.sides(field.make())
    assert sides["seen"] == sides["loose"]
    with field.ledger.reading() as session:
        assert session.scalar(select(Photo.likeness).where(Photo.sha256 == seen)) is not None


def test_options_that_matter_are_in_the_name_and_the_label_of_it_is_not(field: Labelled) -> None:
    field.many(20)
    made = field.make(name="for a paper")
    assert field.make(name="another").hash == made.hash
    assert field.make(Options(allow_small=True, gate=QualityGate(min_sharpness=1.0))).hash != made.hash


def test_a_label_that_changes_between_two_looks_is_no_half_old_line(
    field: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leafloop.learning.snapshots import gathering

    hashes = field.many(12)
    again, changed = gathering.read_again, []

    def changing(ledger: object) -> object:
        if not changed:
            changed.append(field.change(hashes[5], class_id=4, class_name=NAMES[4], bbox_data=[]))
        return again(ledger)  # type: ignore[arg-type]

    monkeypatch.setattr(gathering, "read_again", changing)
    made = field.make()
    line = field.lines(made)["p5"]
    assert (line["class"], line["labels"]) == (NAMES[4], [])


def test_parts_that_are_swept_before_their_row_is_written_are_written_again(
    field: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    field.many(12)
    put, swept = LocalBlobs.put, []

    def put_and_swept(self: LocalBlobs, data: bytes) -> str:
        key = put(self, data)
        if not swept:
            swept.append(key)
            self.delete(key)
        return key

    monkeypatch.setattr(LocalBlobs, "put", put_and_swept)
    made = field.make()
    assert len(field.lines(made)) == 12


def test_the_manifest_is_canonical_and_says_no_time_and_no_machine(field: Labelled, tmp_path: Path) -> None:
    field.many(12)
    made = field.make()
    data = field.blobs.get(made.hash)
    assert data == manifest.canonical(json.loads(data))
    assert str(tmp_path) not in data.decode()
    for part in json.loads(data)["parts"]:
        lines = manifest.read_part(field.blobs, part["sha256"])
        assert len(lines) == part["photos"]
        assert all(line["sha256"].startswith(part["first"]) for line in lines)
