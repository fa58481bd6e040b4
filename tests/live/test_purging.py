"""What is kept no longer than the settings say: it goes, what is needed stays with the reason, and a dry run tells the truth."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.live import people
from tests.live.people import BEN

from leafloop.live import purging
from leafloop.live.parts import Store
from leafloop.storage import audit, integrity
from leafloop.storage.tables import (
    AuditEntry,
    Feedback,
    IdempotencyKey,
    Photo,
    Prediction,
    ReviewItem,
    TrainingData,
    now,
)

OLD = now() - timedelta(days=100)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Nothing in it, and photos and labels kept for 30 days."""
    url = f"sqlite:///{tmp_path / 'a.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with people.store_at(url, tmp_path, keep_photos_days=30, keep_labels_days=30) as opened:
        yield opened


def purge(store: Store, **settings: Any) -> purging.Purged:
    """Purge, after a dry run that has to say the same and change nothing."""
    store = people.with_settings(store, **settings)
    before = people.everything(store)
    would = purging.purge(store, dry_run=True)
    assert people.everything(store) == before
    did = purging.purge(store)
    assert would.removed == did.removed
    assert would.stays == did.stays
    return did


def stays(done: purging.Purged) -> dict[str, int]:
    return {f"{row['what']}: {row['why']}": row["count"] for row in done.stays}


def test_an_old_answer_goes_with_its_photo_its_words_and_its_object(store: Store) -> None:
    old, young = people.send(store, b"old", at=OLD), people.send(store, b"young")
    people.say(store, old, BEN)
    done = purge(store)
    assert (done.removed["answers"], done.removed["words"], done.objects) == (1, 1, 1)
    assert [people.count(store, table) for table in (Prediction, Photo, Feedback, IdempotencyKey)] == [1, 1, 0, 1]
    assert len(list(store.blobs.keys())) == 1
    assert old not in people.everything(store)
    assert young in people.everything(store)


def test_without_a_setting_everything_is_kept_for_ever(store: Store) -> None:
    people.label(store, people.send(store, b"old", at=OLD), at=OLD)
    done = purge(store, keep_photos_days=0, keep_labels_days=0)
    assert set(done.removed.values()) == {0}
    assert (people.count(store, Prediction), people.count(store, TrainingData)) == (1, 1)


def test_what_a_label_a_review_or_a_snapshot_needs_stays_and_is_told(store: Store) -> None:
    labelled, waiting = people.send(store, b"labelled", at=OLD), people.send(store, b"waiting", at=OLD)
    frozen = people.send(store, b"frozen", at=OLD)
    people.label(store, frozen, at=OLD)
    people.freeze(store)
    people.label(store, labelled)
    with store.ledger.transaction() as session:
        session.add(ReviewItem(prediction_id=waiting, priority=1.0, reasons=[]))
        session.get_one(Prediction, waiting).timestamp = now() - timedelta(days=50)
    done = purge(store)
    assert set(done.removed.values()) == {0}
    assert stays(done) == {
        "answers: a frozen snapshot holds their photos": 1,
        "answers: a label is about their photos": 1,
        "answers: a reviewer has not decided on them yet": 1,
        "labels: a frozen snapshot holds them": 1,
    }


def test_what_no_reviewer_decided_on_in_twice_the_time_goes(store: Store) -> None:
    for name, days in (("given up", 61), ("still waiting", 59)):
        waiting = people.send(store, name.encode(), at=now() - timedelta(days=days))
        with store.ledger.transaction() as session:
            session.add(ReviewItem(prediction_id=waiting, priority=1.0, reasons=[]))
    done = purge(store)
    assert (done.removed["answers"], done.objects) == (1, 1)
    assert stays(done) == {"answers: a reviewer has not decided on them yet": 1}
    assert people.objects(store) == [b"still waiting"]


def test_the_service_purges_daily_where_a_setting_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    people.send(store, b"old", at=OLD)
    purging.Daily(people.with_settings(store, keep_photos_days=0, keep_labels_days=0))()
    assert people.count(store, Prediction) == 1
    daily = purging.Daily(store)
    daily()
    assert people.count(store, Prediction) == 0
    people.send(store, b"another", at=OLD)
    daily()
    assert people.count(store, Prediction) == 1
    tomorrow = now() + purging.DAY
    monkeypatch.setattr("leafloop.live.purging.now", lambda: tomorrow)
    daily()
    assert people.count(store, Prediction) == 0


def test_a_word_that_a_review_judged_stays_for_its_authors_trust(store: Store) -> None:
    answer = people.send(store, b"young")
    people.say(store, answer, timestamp=OLD, status="withdrawn", judged="overruled")
    people.say(store, answer, timestamp=OLD, status="withdrawn")
    assert purge(store, keep_feedback_days=30).removed["words"] == 1


def test_a_label_that_no_snapshot_holds_goes_and_its_photo_with_it_in_the_same_run(store: Store) -> None:
    people.label(store, people.send(store, b"labelled", at=OLD), at=OLD)
    done = purge(store)
    assert (done.removed["labels"], done.removed["answers"], done.objects) == (1, 1, 1)
    assert list(store.blobs.keys()) == []


def test_an_imported_photo_goes_once_its_label_is_gone(store: Store) -> None:
    people.bring(store, b"brought", at=OLD)
    people.bring(store, b"brought lately")
    done = purge(store)
    assert (done.removed["labels"], done.removed["photos"], done.objects) == (1, 1, 1)
    assert people.count(store, Photo) == 1


def test_an_object_that_a_young_answer_is_about_as_well_stays(store: Store) -> None:
    people.send(store, b"same", at=OLD)
    young = people.send(store, b"same", BEN)
    done = purge(store)
    assert (done.removed["answers"], done.objects) == (1, 0)
    with store.ledger.reading() as session:
        photo = session.get_one(Photo, session.get_one(Prediction, young).photo_id)
    assert store.blobs.get(photo.stored_sha256) == b"same"


def test_words_that_no_longer_count_go_by_a_setting_of_their_own(store: Store) -> None:
    answer = people.send(store, b"young")
    first = people.say(store, answer, timestamp=OLD, status="replaced")
    people.say(store, answer, timestamp=OLD, replaces=first)
    people.say(store, answer, BEN, status="withdrawn")
    assert purge(store).removed["words"] == 0
    assert purge(store, keep_feedback_days=30).removed["words"] == 1
    with store.ledger.reading() as session:
        assert sorted(word.status for word in session.query(Feedback)) == ["pending", "withdrawn"]
        assert {word.replaces for word in session.query(Feedback)} == {None}


def test_old_audit_entries_go_and_the_audit_still_notices_one_that_was_taken_out(store: Store) -> None:
    with store.ledger.transaction() as session:
        session.add_all([AuditEntry(actor="cli", action="old", at=OLD) for _ in range(5)])
    with store.ledger.transaction() as session:
        session.add_all([AuditEntry(actor="cli", action="young") for _ in range(3)])
    assert purge(store, keep_audit_days=30).removed["audit_entries"] == 5
    with store.ledger.reading() as session:
        assert {entry.action for entry in audit.latest(session)} == {"young", audit.PURGE}
        count, missing = integrity.audit_entries(session)
    sqlite = store.ledger.dialect == "sqlite"
    assert (count, missing) == (4, 0 if sqlite else None)
    with store.ledger.transaction() as session:
        session.delete(next(entry for entry in audit.latest(session) if entry.action == "young"))
    with store.ledger.reading() as session:
        assert integrity.audit_entries(session)[1] == (1 if sqlite else None)


def test_the_entry_of_a_logout_outlives_the_login_that_it_ended(store: Store) -> None:
    with store.ledger.transaction() as session:
        session.add(AuditEntry(actor="key:a", action="logout", subject="l", at=now() - timedelta(days=10)))
    assert purge(store, keep_audit_days=1, session_hours=24 * 14).removed["audit_entries"] == 0
    assert purge(store, keep_audit_days=1, session_hours=24).removed["audit_entries"] == 1


def test_thousands_of_answers_go_in_batches_each_with_its_entry(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leafloop.learning.keeping.retention.BATCH", 3)
    for number in range(8):
        answer = people.send(store, b"%d" % number, at=OLD + timedelta(hours=number))
        if number in (0, 4):
            people.label(store, answer)
    assert purge(store).removed["answers"] == 6
    with store.ledger.reading() as session:
        entries = [entry.detail for entry in audit.latest(session) if entry.action == purging.PURGE]
    assert [entry["answers"] for entry in entries if entry] == [3, 3]
    assert all("objects" not in (entry or {}) for entry in entries)


def test_objects_of_a_batch_that_was_stopped_are_removed_by_the_next_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.send(store, b"old", at=OLD)
    with monkeypatch.context() as stopped, pytest.raises(KeyboardInterrupt):
        stopped.setattr("leafloop.live.erasing.remove_objects", _stop)
        purging.purge(store)
    assert people.count(store, Prediction) == 0
    assert len(list(store.blobs.keys())) == 1
    purging.purge(store)
    assert list(store.blobs.keys()) == []


def _stop(*_: object) -> None:
    raise KeyboardInterrupt
