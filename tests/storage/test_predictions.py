"""Answers: recorded with their photos, listed in pages that hold still, deleted with all that hangs on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from leafloop.errors import RequestInvalid
from leafloop.storage import predictions
from leafloop.storage.ledger import Ledger
from leafloop.storage.predictions import Filters
from leafloop.storage.tables import Feedback, IdempotencyKey, Photo

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _record(ledger: Ledger, **changes: Any) -> str:
    photo, prediction = answer_of(changes)
    with ledger.transaction() as session:
        predictions.record_answer(session, photo, prediction)
        return prediction.id


def answer_of(changes: dict[str, Any]) -> Any:
    from tests.storage.conftest import answer

    return answer(**changes)


def test_an_answer_comes_back_as_it_was_said(ledger: Ledger) -> None:
    known = _record(ledger, metadata_={"camera": "phone"})
    with ledger.reading() as session:
        found = predictions.get(session, known)
        assert found is not None
        assert found.answer == {"success": True, "umlaut": "ä"}
        assert found.bbox_data == [{"class_id": 3}]
        assert found.metadata_ == {"camera": "phone"}
        assert predictions.photo_of(session, found).width == 640
        assert predictions.get(session, "unknown") is None


def test_lists_are_newest_first_with_the_older_paging(ledger: Ledger) -> None:
    ids = [_record(ledger, timestamp=NOON + timedelta(minutes=i)) for i in range(5)]
    with ledger.reading() as session:
        page = predictions.find(session, Filters(), limit=2, offset=1)
    assert page.total == 5
    assert [row.id for row in page.items] == [ids[3], ids[2]]


def test_a_cursor_leads_through_all_rows_once_also_when_new_ones_come_in_between(ledger: Ledger) -> None:
    ids = {_record(ledger, timestamp=NOON) for _ in range(5)}  # one moment: the id settles the order
    seen: list[str] = []
    cursor: str | None = None
    while True:
        with ledger.reading() as session:
            page = predictions.find(session, Filters(), limit=2, cursor=cursor)
        seen += [row.id for row in page.items]
        _record(ledger, timestamp=NOON + timedelta(hours=1))
        if (cursor := page.next_cursor) is None:
            break
    assert len(seen) == len(set(seen)) == 5
    assert set(seen) == ids


@pytest.mark.parametrize("cursor", ["x", "====", "MjAyMC0wMS0wMSB4", "bm90IGEgY3Vyc29y", "ä", "a" * 5000])
def test_a_cursor_that_no_list_gave_is_refused(ledger: Ledger, cursor: str) -> None:
    with ledger.reading() as session, pytest.raises(RequestInvalid, match="cursor"):
        predictions.find(session, Filters(), cursor=cursor)


def test_filters_narrow_by_user_class_version_and_key(ledger: Ledger) -> None:
    ana = _record(ledger, user_id="ana", key_id="aaaaaaaa")
    ben = _record(ledger, user_id="ben", predicted_class_name="C1", model_version="2")

    def ids(**wanted: Any) -> list[str]:
        with ledger.reading() as session:
            return [row.id for row in predictions.find(session, Filters(**wanted)).items]

    assert ids(user_id="ana") == [ana]
    assert ids(predicted_class_name="C1") == [ben]
    assert ids(model_version="2") == [ben]
    assert ids(key_id="aaaaaaaa") == [ana]
    assert ids(keyless=True) == [ben]
    assert ids(user_id="' OR 1=1 --") == []


def test_deleting_takes_all_that_hangs_on_an_answer_and_names_the_object_to_remove(ledger: Ledger) -> None:
    known = _record(ledger)
    with ledger.transaction() as session:
        session.add(Feedback(prediction_id=known, is_correct=True, feedback_source="api"))
        key = {"scope": "open", "key": "k", "fingerprint": "f", "claim_token": "t", "prediction_id": known}
        session.add(IdempotencyKey(**key, answer={"private": "words"}))
    with ledger.transaction() as session:
        gone = predictions.delete(session, known)
    assert gone is not None
    assert (gone.objects, gone.kept) == (["b" * 64], [])
    with ledger.reading() as session:
        assert [session.scalar(select(func.count()).select_from(t)) for t in (Photo, Feedback, IdempotencyKey)] == [
            0,
            0,
            0,
        ]


def test_an_object_that_another_answer_needs_stays(ledger: Ledger) -> None:
    first, second = _record(ledger), _record(ledger)
    with ledger.transaction() as session:
        gone = predictions.delete(session, first)
        assert gone is not None
        assert gone.objects == []
        assert [staying.what for staying in gone.kept] == ["photo"]
    with ledger.transaction() as session:
        gone = predictions.delete(session, second)
        assert gone is not None
        assert gone.objects == ["b" * 64]
        assert predictions.delete(session, second) is None
