"""What happens while a snapshot is made: labels that go or change, photos that are refused or erased, before and in its transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from tests.learning.labelled import SMALL, Labelled, labelled

from leafloop.errors import DatabaseBusy
from leafloop.learning.keeping import erasure
from leafloop.learning.snapshots import manifest
from leafloop.learning.snapshots.building import Options
from leafloop.storage import audit
from leafloop.storage.tables import Photo, SnapshotPhoto, Tombstone, TrainingData

Change = Callable[[Labelled, str], None]


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Labelled]:
    url = (
        f"sqlite:///{tmp_path / 'l.db'}" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    )
    opened = labelled(url, tmp_path)
    yield opened
    opened.ledger.close()


def _label_goes(place: Labelled, image_hash: str) -> None:
    with place.ledger.transaction() as session:
        session.execute(delete(TrainingData).where(TrainingData.image_hash == image_hash))


def _label_is_taken_back(place: Labelled, image_hash: str) -> None:
    place.change(image_hash, is_validated=False)


def _photo_is_erased(place: Labelled, image_hash: str) -> None:
    with place.ledger.transaction() as session:
        erasure.take_photos(session, erasure.photo(session, image_hash), reason="asked", actor="test")


def _is_refused(place: Labelled, image_hash: str) -> None:
    with place.ledger.transaction() as session:
        session.execute(update(Photo).where(Photo.sha256 == image_hash).values(consent=False))


def _same_picture_is_refused(place: Labelled, image_hash: str) -> None:
    with place.ledger.reading() as session:
        stored = session.scalars(select(TrainingData.image_path).where(TrainingData.image_hash == image_hash)).one()
    place.add("the same picture sent again", stored=stored, consent=False, is_validated=False)


def _meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen once, after all photos were read and written down, before the rows are."""
    header, done = manifest.header, list[int]()

    def then(*args: object) -> bytes:
        if not done:
            done.append(1)
            happens()
        return header(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(manifest, "header", then)


@pytest.mark.parametrize(
    "change", [_label_goes, _label_is_taken_back, _photo_is_erased, _is_refused, _same_picture_is_refused]
)
def test_what_goes_or_is_refused_while_a_snapshot_is_made_is_not_in_it(
    both: Labelled, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    hashes = both.many(20)
    _meanwhile(monkeypatch, lambda: change(both, hashes[4]))
    made = both.make()
    assert (made.photos, "p4" in both.lines(made)) == (19, False)


def test_a_label_that_changes_after_it_was_written_down_is_written_again(
    both: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = both.many(20)
    _meanwhile(
        monkeypatch, lambda: both.change(hashes[4], outcome="healthy", class_name=None, class_id=None, bbox_data=[])
    )
    assert both.lines(both.make())["p4"]["outcome"] == "healthy"


def test_where_consent_is_required_an_agreement_that_is_taken_back_meanwhile_counts(
    both: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = both.many(20, consent=True)

    def unsaid() -> None:
        with both.ledger.transaction() as session:
            session.execute(update(Photo).where(Photo.sha256 == hashes[4]).values(consent=None))

    _meanwhile(monkeypatch, unsaid)
    made = both.make(Options(allow_small=True, consent_required=True))
    assert (made.photos, "p4" in both.lines(made)) == (19, False)


def test_a_snapshot_that_is_there_is_not_given_for_one_of_which_a_photo_was_refused_meanwhile(
    both: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = both.many(20)
    first = both.make()
    _meanwhile(monkeypatch, lambda: _is_refused(both, hashes[4]))
    second = both.make()
    assert second.hash != first.hash
    assert "p4" not in both.lines(second)


def test_who_is_erased_while_the_rows_are_written_waits_and_leaves_a_tombstone(
    both: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the very transaction, when nothing of the snapshot can be seen from outside."""
    hashes = both.many(20)
    record, began, said = audit.record, threading.Event(), list[str]()

    def erase() -> None:
        began.set()
        try:
            _photo_is_erased(both, hashes[4])
            said.append("erased")
        except DatabaseBusy:
            said.append("busy")

    other = threading.Thread(target=erase)

    def recording(*args: object, **named: object) -> object:
        if named.get("action") == "snapshot":
            other.start()
            began.wait(10)
            other.join(1)  # it would be through by now if it did not wait
            assert said == []
        return record(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(audit, "record", recording)
    made = both.make(SMALL)
    other.join(20)
    assert said == ["erased"]
    with both.ledger.reading() as session:
        assert session.get(Tombstone, hashes[4]) is not None
        named = select(SnapshotPhoto.image_hash).where(SnapshotPhoto.snapshot_hash == made.hash)
        assert hashes[4] in session.scalars(named).all()
