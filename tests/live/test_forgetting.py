"""A person is erased: nothing by them is left but tombstones, nothing of anybody else is touched, and every manifest still verifies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.live import people
from tests.live.people import ANA, BEN

from leafloop import access
from leafloop.errors import RequestInvalid
from leafloop.learning.keeping import erasure, person
from leafloop.live import erasing, forgetting
from leafloop.live.parts import Store
from leafloop.storage import audit, models, predictions
from leafloop.storage.tables import (
    AuditEntry,
    Feedback,
    Photo,
    Prediction,
    Review,
    Tombstone,
    TrainingData,
    Upload,
    UploadPiece,
)

WHY = "request 17"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'a.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with people.store_at(url, tmp_path) as opened:
        yield opened


def erase(
    store: Store, user_id: str = "ana.cruz", key: str | None = None, *, dry_run: bool = False
) -> forgetting.Erased:
    with store.ledger.reading() as session:
        whom = erasure.person(session, user_id, key)
    return forgetting.erase(store, whom, reason=WHY, dry_run=dry_run)


def erase_photo(store: Store, sha256: str) -> forgetting.Erased:
    with store.ledger.reading() as session:
        whom = erasure.photo(session, sha256)
    return forgetting.erase(store, whom, reason=WHY)


def delete(store: Store, prediction_id: str) -> predictions.Deletion:
    """As `DELETE /db/predictions/{id}` does it."""
    with store.ledger.transaction() as session:
        answer = session.get_one(Prediction, prediction_id)
        detail = {"user_id": answer.user_id, "key_id": answer.key_id}
        gone = predictions.delete(session, prediction_id)
        assert gone is not None
        whole = {**detail, **gone.record}
        audit.record(session, actor="key:x", action="prediction.delete", subject=prediction_id, detail=whole)
    erasing.remove_objects(store.ledger, store.blobs, gone.objects)
    return gone


def test_everything_by_the_person_goes_and_everything_by_others_stays(store: Store) -> None:
    anas, bens = people.send(store, b"ana's"), people.send(store, b"ben's", BEN)
    people.say(store, anas, BEN)
    people.say(store, bens, ANA)
    said = people.say(store, bens, BEN)
    people.label(store, anas)
    label = people.label(store, bens)
    done = erase(store)
    assert (done.removed["answers"], done.removed["words"], done.removed["labels"], done.objects) == (1, 2, 1, 1)
    assert "ana.cruz" not in people.everything(store)
    with store.ledger.reading() as session:
        assert session.scalars(select(Prediction.id)).all() == [bens]
        assert session.scalars(select(Feedback.id)).all() == [said]
        assert session.scalars(select(TrainingData.id)).all() == [label]
    assert people.objects(store) == [b"ben's"]
    assert people.count(store, Tombstone) == 0


def test_a_dry_run_says_what_would_go_and_changes_nothing(store: Store) -> None:
    people.label(store, people.send(store, b"ana's"))
    people.freeze(store)
    before = people.everything(store)
    would = erase(store, dry_run=True)
    assert people.everything(store) == before
    did = erase(store)
    later = ("labels_unnamed", "leases", "audit_entries")  # counted as they are blanked
    assert {kind: did.removed[kind] for kind in would.removed if kind not in later} == {
        kind: count for kind, count in would.removed.items() if kind not in later
    }
    assert would.snapshots == did.snapshots


def test_a_photo_in_a_snapshot_gets_a_tombstone_and_the_manifest_stays_as_it_is(store: Store) -> None:
    people.label(store, people.send(store, b"ana's"))
    people.label(store, people.send(store, b"ben's", BEN))
    snapshot = people.freeze(store)
    assert snapshot is not None
    with store.ledger.transaction() as session:
        lineage = {"name": "tiny", "licence": "MIT", "lineage": {"snapshot": snapshot}}
        models.add_version(session, bundle_hash="d" * 64, manifest=lineage, source="run")
    manifest = store.blobs.get(snapshot)
    done = erase(store)
    assert done.snapshots == [{"hash": snapshot, "name": None, "photos": 1}]
    assert done.models == [{"version": "1", "snapshot": snapshot}]
    assert store.blobs.get(snapshot) == manifest
    with store.ledger.reading() as session:
        (stone,) = session.scalars(select(Tombstone)).all()
        assert (stone.image_hash, stone.reason, stone.actor) == (people.received(b"ana's"), WHY, "cli")
    assert people.objects(store) == sorted([b"ben's", manifest])
    entries = [e.detail for e in _entries(store, "data.erase") if e.detail and "snapshots" in e.detail]
    assert entries[-1]["snapshots"] == [snapshot]


def test_bytes_that_somebody_else_sent_as_well_stay_theirs(store: Store) -> None:
    people.label(store, people.send(store, b"same"))
    bens = people.send(store, b"same", BEN)
    people.freeze(store)
    done = erase(store)
    assert [(kept["what"], kept["count"]) for kept in done.kept] == [("photos", 1)]
    assert people.count(store, Tombstone) == 1
    assert b"same" in people.objects(store)
    assert delete(store, bens).objects  # the snapshot has no claim on it any more
    assert b"same" not in people.objects(store)


def test_a_photo_that_came_with_an_import_too_keeps_its_label_and_gets_no_tombstone(store: Store) -> None:
    people.bring(store, b"public")
    people.send(store, b"public")
    people.freeze(store)
    assert erase(store, dry_run=True).removed["tombstones"] == 0
    assert erase(store).kept[0]["count"] == 1
    assert (people.count(store, Tombstone), people.count(store, TrainingData)) == (0, 1)


def test_a_label_that_outlived_its_deleted_answer_is_found_by_its_owner(store: Store) -> None:
    answer = people.send(store, b"ana's")
    people.label(store, answer)
    people.freeze(store)
    gone = delete(store, answer)
    assert gone.objects == []
    assert erase(store).removed["tombstones"] == 1
    assert "ana.cruz" not in people.everything(store)
    assert b"ana's" not in people.objects(store)


def test_a_name_under_several_keys_may_be_several_people(store: Store) -> None:
    people.send(store, b"one")
    other = people.send(store, b"two", ("otherkey", "ana.cruz"))
    open_one = people.send(store, b"three", (None, "ana.cruz"))
    with pytest.raises(RequestInvalid, match=r"open, fekey123, otherkey.*--every-key"):
        erase(store)
    assert people.count(store, Prediction) == 3
    erase(store, key="fekey123")
    erase(store, key="open")
    with store.ledger.reading() as session:
        assert session.scalars(select(Prediction.id)).all() == [other]
    assert open_one not in people.everything(store)


def test_a_photo_that_has_come_in_part_goes_with_its_pieces(store: Store) -> None:
    piece = store.blobs.put(b"half")
    with store.ledger.transaction() as session:
        for user in ("ana.cruz", "ben.reyes"):
            upload = Upload(
                scope="fekey123", key=user, length=9, fields={"user_id": user, "user_location": f"{user}'s"}
            )
            session.add(upload)
            session.flush()
            session.add(
                UploadPiece(upload_id=upload.id, offset=0, sha256=piece if user == "ana.cruz" else "e" * 64, bytes=4)
            )
    done = erase(store)
    assert (done.removed["uploads"], done.objects) == (1, 1)
    assert (people.count(store, Upload), people.count(store, UploadPiece)) == (1, 1)
    assert "ana.cruz" not in people.everything(store)


def test_a_reviewers_name_goes_out_of_what_the_log_says_of_labels(store: Store) -> None:
    change = {"before": None, "after": {"validated_by": "reviewer/ana.cruz", "group": "plot 7", "class_name": "C3"}}
    with store.ledger.transaction() as session:
        audit.record(session, actor="reviewer/ana.cruz", action="label.make", subject="x", detail=change)
    assert erase(store, key="reviewer").removed["audit_entries"] == 1
    (entry,) = _entries(store, "label.make")
    assert entry.actor == "reviewer/erased"
    assert entry.detail == {"before": None, "after": {"validated_by": None, "group": "plot 7", "class_name": "C3"}}


def test_a_reviewer_loses_their_name_and_words_but_what_they_decided_stays(store: Store) -> None:
    people.label(store, people.send(store, b"ben's", BEN), reviewer="ana.cruz")
    done = erase(store, key="reviewer")
    assert (done.removed["reviews_unnamed"], done.removed["labels_unnamed"]) == (1, 1)
    assert "ana.cruz" not in people.everything(store)
    with store.ledger.reading() as session:
        (review,) = session.scalars(select(Review)).all()
        assert (review.decision, review.reviewer, review.comment) == ("accept", None, None)
        assert session.scalars(select(TrainingData)).one().is_validated


def test_the_audit_log_keeps_what_was_done_and_loses_who_it_was_about(store: Store) -> None:
    deleted, edited = people.send(store, b"deleted"), people.send(store, b"edited")
    delete(store, deleted)
    with store.ledger.transaction() as session:
        change = {"before": {"user_location": "ana.cruz's farm"}, "after": {"user_location": None, "consent": True}}
        audit.record(session, actor="key:x", action="prediction.edit", subject=edited, detail=change)
        session.add(AuditEntry(actor="cli", action="other", detail={"user_id": "ana.cruz", "key_id": "otherkey"}))
    erase(store, key="fekey123")
    with store.ledger.reading() as session:
        entries = {entry.action: entry for entry in audit.latest(session)}
    assert entries["prediction.delete"].subject == deleted
    told = entries["prediction.delete"].detail or {}
    assert (told["user_id"], told["key_id"]) == (None, "fekey123")
    assert entries["prediction.edit"].detail == {
        "before": {"user_location": None},
        "after": {"user_location": None, "consent": True},
    }
    assert entries["other"].detail == {"user_id": "ana.cruz", "key_id": "otherkey"}  # somebody else of that name


def test_who_deleted_everything_before_is_found_by_what_the_log_says(store: Store) -> None:
    answer = people.send(store, b"ana's")
    word = people.say(store, answer)
    with store.ledger.transaction() as session:
        change = {"before": {"user_location": "her farm"}, "after": {"user_location": None}}
        audit.record(session, actor="key:x", action="prediction.edit", subject=answer, detail=change)
        said = {"before": {"user_comment": "my own words"}, "after": {"user_comment": None}}
        audit.record(session, actor="key:x", action="feedback.edit", subject=word, detail=said)
    delete(store, answer)
    with store.ledger.reading() as session:
        told = person.document(session, erasure.person(session, "ana.cruz", None))
    assert (told["keys"], len(told["audit"])) == (["fekey123"], 3)
    assert erase(store).removed["audit_entries"] == 3
    assert not any(left in people.everything(store) for left in ("ana.cruz", "her farm", "my own words"))


def test_the_label_of_a_key_that_is_the_persons_name_goes_and_the_key_stays(store: Store) -> None:
    with store.ledger.transaction() as session:
        own, _ = access.create_key(session, "reviewer", "ana.cruz")
        others, _ = access.create_key(session, "reviewer", "ben.reyes")
    with store.ledger.reading() as session:
        whom = erasure.person(session, "ana.cruz", None)
        told = person.document(session, whom)
    assert whom.keys == (own,)
    assert [(row["id"], row["label"], "secret_sha256" in row) for row in told["api_keys"]] == [(own, "ana.cruz", False)]
    assert erase(store, dry_run=True).removed["keys_unnamed"] == 1
    assert erase(store).removed["keys_unnamed"] == 1
    assert "ana.cruz" not in people.everything(store)
    with store.ledger.reading() as session:
        assert {row["id"]: row["label"] for row in access.list_keys(session)} == {own: "", others: "ben.reyes"}
        assert [entry.detail for entry in audit.latest(session) if entry.subject == others] == [
            {"role": "reviewer", "label": "ben.reyes"}
        ]


@pytest.mark.parametrize("by", ["received", "kept"])
def test_one_photo_is_erased_whoever_sent_it(store: Store, by: str) -> None:
    people.label(store, people.send(store, b"same"))
    people.send(store, b"same", BEN)
    other = people.send(store, b"other", BEN)
    people.freeze(store)
    with store.ledger.reading() as session:
        kept = session.scalars(select(Photo.stored_sha256).where(Photo.sha256 == people.received(b"same"))).first()
    done = erase_photo(store, people.received(b"same") if by == "received" else str(kept))
    assert (done.removed["answers"], done.removed["labels"], done.removed["tombstones"], done.objects) == (2, 1, 1, 1)
    assert not store.blobs.has(str(kept))
    with store.ledger.reading() as session:
        assert session.scalars(select(Prediction.id)).all() == [other]


def test_a_photo_that_only_a_snapshot_still_names_is_erased_too(store: Store) -> None:
    people.bring(store, b"brought")
    people.freeze(store)
    with store.ledger.transaction() as session:
        session.query(TrainingData).delete()
        session.query(Photo).delete()
    done = erase_photo(store, people.received(b"brought"))
    assert (done.removed["tombstones"], done.objects) == (1, 1)
    assert erase_photo(store, people.received(b"brought")).removed["tombstones"] == 0


def test_a_second_run_finds_nothing_and_says_nothing_to_the_log(store: Store) -> None:
    people.label(store, people.send(store, b"ana's"))
    people.freeze(store)
    erase(store)
    before = people.everything(store)
    again = erase(store)
    assert set(again.removed.values()) == {0}
    assert people.everything(store) == before


@pytest.mark.parametrize("reason", ["", " ", "x" * 1001, "Ana.Cruz asked for it"])
def test_the_reason_is_there_and_does_not_name_the_person(store: Store, reason: str) -> None:
    with pytest.raises(RequestInvalid, match="person|characters"):
        forgetting.erase(store, erasure.Person("ana.cruz", ("fekey123",)), reason=reason)


# Killed at a set point: before a batch's commit, between a batch's rows and its objects, or between two objects.
KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.orm import Session
from leafloop.learning.keeping import erasure
from leafloop.live import erasing, forgetting
from leafloop.storage.blobs import LocalBlobs
from tests.live import people

url, folder, where, nth = sys.argv[1:]
left = [int(nth)]
erasure.BATCH = 2

def die(*_):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def before(target, name):
    whole = getattr(target, name)
    setattr(target, name, lambda *args, **kwargs: (die(), whole(*args, **kwargs))[1])

if where == "commit":
    event.listen(Session, "before_commit", die)
elif where == "objects":
    before(erasing, "remove_objects")
else:
    before(LocalBlobs, "delete")
with people.store_at(url, Path(folder)) as store:
    whom = erasure.Person("ana.cruz", ("fekey123",))
    forgetting.erase(store, whom, reason="request 17")
"""


@pytest.mark.parametrize(("where", "nth"), [("commit", 2), ("objects", 2), ("delete", 3)])
def test_killed_at_any_point_a_second_run_finishes(store: Store, tmp_path: Path, where: str, nth: int) -> None:
    for number in range(5):
        answer = people.send(store, b"ana's %d" % number)
        if number < 2:
            people.label(store, answer)
    people.send(store, b"ben's", BEN)
    snapshot = people.freeze(store)
    assert snapshot is not None
    url = store.ledger._engine.url.render_as_string(hide_password=False)
    words = [sys.executable, "-c", KILLED, url, str(tmp_path), where, str(nth)]
    killed = subprocess.run(words, cwd=Path(__file__).parents[2], env=os.environ, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    erase(store)
    assert "ana.cruz" not in people.everything(store)
    assert people.count(store, Tombstone) == 2
    assert people.objects(store) == sorted([b"ben's", store.blobs.get(snapshot)])


def _entries(store: Store, action: str) -> list[AuditEntry]:
    with store.ledger.reading() as session:
        return list(session.scalars(select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)))
