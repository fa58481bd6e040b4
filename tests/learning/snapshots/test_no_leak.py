"""Whatever people do, in whatever order: no group is on two sides, no photo that tested trains, no near-duplicate is on another side.

And the faults of other projects' loops that concern datasets (field notes, part 1C), by number.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select
from tests.learning.labelled import NAMES, Labelled, labelled
from tests.learning.snapshots import doings
from tests.live import people

from leafloop.errors import SnapshotRejected
from leafloop.learning.datasets.intake import Place
from leafloop.learning.snapshots import manifest
from leafloop.learning.snapshots.building import Made, Options
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import (
    Photo,
    Snapshot,
    SnapshotPhoto,
    SplitGroup,
    TrainingData,
)
from leafloop.vision.decoders import Decoders


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Labelled]:
    opened = labelled(f"sqlite:///{tmp_path / 'leafloop.db'}", tmp_path)
    yield opened
    opened.ledger.close()


number, which, who = st.integers(0, 5), st.integers(0, 30), st.sampled_from(doings.PEOPLE)
decision = st.sampled_from(["accept", "accept", "sicker", "no leaf", None])
group = st.sampled_from(["plant 1", "plant 2", "plant 3"])
send = st.tuples(st.just("send"), number, st.booleans(), st.integers(0, 1), st.none() | group, who, decision)
say = st.tuples(st.just("say"), which, who, st.sampled_from(sorted(doings.WORDS)))
review = st.tuples(st.just("review"), which, st.sampled_from(["accept", *sorted(doings.DECISIONS)]))
brought = st.tuples(number, st.sampled_from(["train", "valid", "test"]), st.sampled_from(["", "_0_0", "_0_256", "_7"]))
bring = st.tuples(st.just("bring"), st.lists(brought, min_size=1, max_size=3), st.booleans(), st.booleans())
regroup = st.tuples(st.just("regroup"), which, group)
refuse, delete_answer = (st.tuples(st.just(name), which) for name in ("refuse", "delete"))
erase = st.tuples(st.just("erase"), who)
undo, snapshot = (st.tuples(st.just(name)) for name in ("undo", "snapshot"))
doing = st.one_of(
    send, send, say, review, review, review, undo, bring, bring, regroup, refuse, delete_answer, erase, snapshot, snapshot
)  # fmt: skip
sequences = st.tuples(st.lists(send, min_size=4, max_size=10), st.lists(doing, min_size=6, max_size=24))
either = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], print_blob=True
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the newest schema and no rows: to be copied, since making one takes longer than all else here."""
    path = tmp_path_factory.mktemp("empty") / "leafloop.db"
    ledger = Ledger(f"sqlite:///{path}")
    ledger.upgrade()
    ledger.close()
    return path


def _lived(empty: Path, decoders: Decoders, sequence: tuple[list[Any], list[Any]]) -> doings.World:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(empty, folder / "a.db")
        with people.store_at(f"sqlite:///{folder / 'a.db'}", folder) as store:
            world = doings.World(store, Place(store.ledger, store.blobs, decoders), folder)
            for each in [*sequence[0], *sequence[1], ("snapshot",)]:
                world.do(each)
            return world


@settings(either, max_examples=12)
@given(sequence=sequences)
def test_no_sequence_of_doings_puts_one_group_on_two_sides_or_a_test_photo_in_train(
    empty: Path, decoders: Decoders, sequence: tuple[list[Any], list[Any]]
) -> None:
    _lived(empty, decoders, sequence)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(either, max_examples=200)
@given(sequence=sequences)
def test_no_longer_search_finds_one_either(
    empty: Path, decoders: Decoders, sequence: tuple[list[Any], list[Any]]
) -> None:
    _lived(empty, decoders, sequence)


def test_the_doings_are_done_and_make_snapshots(empty: Path, decoders: Decoders) -> None:
    """Otherwise the search above would find nothing wrong in nothing done."""
    sent = [("send", n, False, 0, None, "maria", "accept") for n in range(8)] + [
        ("send", 0, True, 0, "plant 1", "pedro", None)
    ]
    reviewed = [("review", 8, "accept")]
    brought = ("bring", [(8, "train", "_0_0"), (5, "test", "_0_256")], True, False)
    world = _lived(empty, decoders, (sent, [*reviewed, ("snapshot",), brought, ("refuse", 3), ("erase", "pedro")]))
    assert (world.snapshots, world.imports, len(world.side)) == (2, 1, 10)


def test_a_near_duplicate_of_a_test_photo_is_never_trained_on(field: Labelled) -> None:
    for n in range(30):
        field.add(f"p{n}", 1 + n % 3, seed=n)
    before = field.sides(field.make())
    for n in range(30):
        field.add(f"copy {n}", 1 + n % 3, seed=n, copy=True)
    after = field.sides(field.make())
    assert {f"copy {n}": after[f"copy {n}"] for n in range(30)} == {f"copy {n}": before[f"p{n}"] for n in range(30)}
    assert "test" in after.values()


def test_the_same_bytes_sent_again_after_their_label_was_deleted_keep_their_side(field: Labelled) -> None:
    field.many(30)
    sides = field.sides(field.make())
    tested = next(name for name, side in sides.items() if side == "test")
    sha256 = next(each for each, name in field.names.items() if name == tested)
    with field.ledger.transaction() as session:
        session.execute(delete(TrainingData).where(TrainingData.image_hash == sha256))
        session.execute(delete(Photo).where(Photo.sha256 == sha256))
    field.add(tested, 1)
    field.add("the same kept copy", 1, stored=f"{_stored(field, sha256)}")
    after = field.sides(field.make())
    assert after[tested] == after["the same kept copy"] == "test"


def test_a_copy_of_a_test_photo_whose_label_was_deleted_still_does_not_train(field: Labelled) -> None:
    for n in range(30):
        field.add(f"p{n}", 1 + n % 3, seed=n)
    sides = field.sides(field.make())
    tested = sorted(name for name, side in sides.items() if side == "test")
    with field.ledger.transaction() as session:
        session.execute(delete(TrainingData).where(TrainingData.name.in_([f"{name}.jpg" for name in tested])))
    for name in tested:
        field.add(f"copy of {name}", seed=int(name[1:]), copy=True)
    after = field.sides(field.make())
    assert {after[f"copy of {name}"] for name in tested} == {"test"}


def _stored(field: Labelled, sha256: str) -> str:
    with field.ledger.reading() as session:
        return str(session.scalar(select(SnapshotPhoto.stored_sha256).where(SnapshotPhoto.image_hash == sha256)))


# Faults of part 1C


def _marks(field: Labelled) -> object:
    with field.ledger.reading() as session:
        return session.execute(select(TrainingData.revision, TrainingData.feedback_ids).order_by(TrainingData.id)).all()


def test_fault_1_feedback_is_used_by_being_in_a_snapshot_and_a_run_that_fails_loses_nothing(field: Labelled) -> None:
    """There is no flag to flip: what a snapshot that came to nothing would have used is there for the next."""
    field.many(20)
    before = _marks(field)
    with pytest.raises(SnapshotRejected):
        field.make(Options(min_photos={"train": 1, "val": 1, "test": 500}))
    assert _marks(field) == before
    made = field.make()
    assert {f"word-p{n}" for n in range(20)} == {
        word for line in field.lines(made).values() for word in line["feedback_ids"]
    }
    assert field.make().photos == 20


def test_fault_6_quality_is_judged_before_at_a_fixed_scale_and_what_fails_is_not_let_in_after_all(
    field: Labelled,
) -> None:
    field.many(10)
    field.add("poor", blur_score=2.0)
    field.add("as sharp as the poorest of the good", blur_score=12.0)
    made = field.make()
    assert "poor" not in field.lines(made)
    assert "as sharp as the poorest of the good" in field.lines(made)
    assert made.left_out == {"blurred": 1}  # one bad photo is left out; it does not stop the others


def test_fault_7_what_is_counted_is_what_is_in_it_whatever_its_age_and_nothing_old_comes_back(field: Labelled) -> None:
    hashes = field.many(12)
    first = field.make()
    field.change(hashes[3], is_validated=False)
    second = field.make()
    header = manifest.read_header(field.blobs, second.hash)
    lines = list(manifest.read_photos(field.blobs, second.hash))
    assert header["photos"] == second.photos == len(lines) == 11
    assert hashes[3] not in {line["sha256"] for line in lines}
    assert len(field.lines(first)) == 12


def test_fault_17_a_name_from_outside_is_a_label_and_never_a_path(field: Labelled, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    field.many(6)
    field.change(field.add("evil", source="import"), name="../../secret.txt")
    made: Made = field.make()
    assert field.lines(made)["evil"]["name"] == "../../secret.txt"
    assert (tmp_path / "secret.txt").read_text() == "secret"
    assert {path.name for path in (tmp_path / "blobs").glob("??/??/*")} == set(field.blobs.keys())


def test_fault_2_a_correction_without_boxes_is_never_a_picture_of_nothing(field: Labelled) -> None:
    field.many(6)
    field.add("it is another stage", 3, strength="weak", bbox_data=None)
    line = field.lines(field.make())["it is another stage"]
    assert (line["labels"], line["class"]) == (None, NAMES[3])


def test_fault_5_a_class_that_is_not_known_is_left_out_and_none_is_made_up(field: Labelled) -> None:
    field.many(6)
    field.add("unknown", 1, class_name="Mystery", bbox_data=None, strength="weak")
    made = field.make()
    assert made.left_out == {"unknown_class": 1}
    assert "Mystery" not in json.dumps(made.classes)


def test_nothing_is_half_made_when_rows_cannot_be_written(field: Labelled, monkeypatch: pytest.MonkeyPatch) -> None:
    from leafloop.storage import audit

    field.many(12)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("power")

    monkeypatch.setattr(audit, "record", broken)
    with pytest.raises(RuntimeError):
        field.make()
    with field.ledger.reading() as session:
        for table in (Snapshot, SnapshotPhoto, SplitGroup):
            assert session.scalar(select(func.count()).select_from(table)) == 0
