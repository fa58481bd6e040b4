"""What people say, over HTTP: kept before it is acknowledged, once, by whom, on what; listed, set right, withdrawn, counted."""

from __future__ import annotations

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from tests.api import shapes
from tests.api.conftest import NO_MODEL, SICK, SICK_LEAF, Service, Start, jpeg
from tests.tiny_models import BANANA

from leafloop.learning.review import worth
from leafloop.learning.words import feedback
from leafloop.storage import audit
from leafloop.storage.tables import Feedback, IdempotencyKey, Prediction, Review, ReviewItem

SUBMIT, UNDO, STATS = "/api/v1/feedback/submit", "/api/v1/feedback/undo", "/api/v1/feedback/stats"
WORDS, PREDICTIONS = "/api/v1/db/feedback", "/api/v1/db/predictions"
SICKER = BANANA.class_names[SICK + 1]
BOX = {"class_name": SICKER, "bbox": {"x1": 10, "y1": 20, "x2": 60, "y2": 80}}
OLDER_COLUMNS = {
    "id", "prediction_id", "is_correct", "correct_class_id", "correct_class_name", "user_comment", "confidence_rating",
    "feedback_source", "timestamp", "processed_for_training", "processed_at",
}  # fmt: skip


def answered(service: Service, name: str = "maria", data: bytes = SICK_LEAF) -> str:
    """A photo sent by somebody's phone; the answer's id."""
    return str(service.predict(data, headers=service.key("field", name)).json()["prediction_id"])


def say(
    service: Service, prediction_id: str, name: str = "maria", *, key: str | None = None, **word: Any
) -> httpx.Response:
    headers = service.key("reviewer" if name == "reviewer" else "field", name)
    headers |= {"Idempotency-Key": key} if key else {}
    return service.client.post(SUBMIT, json={"prediction_id": prediction_id, **word}, headers=headers)


def undo(service: Service, prediction_id: str, name: str = "maria", **more: Any) -> httpx.Response:
    return service.client.post(UNDO, json={"prediction_id": prediction_id, **more}, headers=service.key("field", name))


def said(service: Service, prediction_id: str, name: str = "maria") -> list[dict[str, Any]]:
    """The words on an answer that somebody sees there."""
    answer = service.client.get(f"{PREDICTIONS}/{prediction_id}", headers=service.key("field", name)).json()
    return list(answer["feedback"])


def rows(service: Service, prediction_id: str) -> int:
    with service.parts.ledger.reading() as session:
        counted = select(func.count()).select_from(Feedback).where(Feedback.prediction_id == prediction_id)
        return session.scalar(counted) or 0


def reasons(service: Service, prediction_id: str) -> set[str]:
    with service.parts.ledger.reading() as session:
        item = session.scalar(select(ReviewItem).where(ReviewItem.prediction_id == prediction_id))
        return {reason["code"] for reason in item.reasons} if item else set()


def decide(service: Service, prediction_id: str, class_id: int, comment: str) -> None:
    with service.parts.ledger.transaction() as session:
        item = worth.enqueue(session, prediction_id, [worth.Reason("random")])
        assert item is not None
        name = BANANA.class_names[class_id]
        outcome = "healthy" if class_id in BANANA.healthy_ids else "diseased"
        values = {
            "decision": "correct",
            "outcome": outcome,
            "class_id": class_id,
            "class_name": name,
            "comment": comment,
        }
        review = Review(item_id=item.id, prediction_id=prediction_id, **values)
        session.add(review)
        item.state = "done"
        feedback.settle(session, prediction_id, review)


# Said


@pytest.mark.parametrize(
    "word",
    [
        {"is_correct": True}, {"is_correct": False}, {"is_correct": False, "correct_class_name": SICKER},
        {"is_correct": False, "correct_class_id": SICK + 1, "user_comment": "see the\nmargin", "confidence_rating": 5},
        {"is_correct": False, "correct_outcome": "healthy"}, {"is_correct": False, "correct_outcome": "no_leaf"},
        {"is_correct": False, "corrected_boxes": [BOX]}, {"is_correct": False, "corrected_boxes": []},
        {"is_correct": None, "correct_class_id": None, "corrected_boxes": None, "confidence_rating": 4.0},
        {"is_correct": None, "ask_expert": True, "confidence_rating": None, "user_comment": None}, {"ask_expert": True}, {"user_comment": "¿Qué es esto? 🍌"},
    ],
)  # fmt: skip
def test_a_word_is_kept_and_then_acknowledged(service: Service, word: dict[str, Any]) -> None:
    prediction_id = answered(service)
    answer = say(service, f"  {prediction_id} ", **word)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "pending"
    shapes.check(service.client, "POST", SUBMIT, answer.json())
    (kept,) = said(service, prediction_id)
    assert kept["id"] == answer.json()["feedback_id"]
    wanted = {"corrected_boxes": len(word["corrected_boxes"])} if word.get("corrected_boxes") else word
    assert {n: len(kept[n]) if n == "corrected_boxes" and kept[n] else kept[n] for n in wanted} == wanted
    one = service.client.get(f"{WORDS}/{kept['id']}", headers=service.key("reviewer"))
    assert one.json() == kept
    shapes.check(service.client, "GET", WORDS + "/{feedback_id}", one.json())


def test_an_older_client_speaks_as_it_did(service: Service) -> None:
    """older-system.md: the fields of its request and the keys of its answer."""
    older = {
        "is_correct": False, "correct_class_name": SICKER, "correct_class_id": SICK + 1, "user_comment": "later stage",
        "confidence_rating": 3,
    }  # fmt: skip
    assert say(service, answered(service), **older).json().keys() >= {"success", "feedback_id", "message"}


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ({"is_correct": True, "correct_class_name": SICKER}, "contradicts"), ({}, "says nothing"),
        ({"is_correct": False, "correct_class_name": "Stage99"}, "not a class"), ({"is_correct": False, "correct_class_id": 99}, "not a class"),
        ({"is_correct": False, "correct_class_id": -1}, "correct_class_id"), ({"is_correct": False, "correct_outcome": "sick"}, "correct_outcome"),
        ({"is_correct": False, "correct_outcome": "no_leaf", "corrected_boxes": [BOX]}, "contradicts"),
        ({"is_correct": False, "corrected_boxes": [{**BOX, "bbox": {"x1": 600, "y1": 20, "x2": 700, "y2": 80}}]}, "outside"),
        ({"is_correct": False, "corrected_boxes": [{**BOX, "bbox": {"x1": 60, "y1": 20, "x2": 60, "y2": 80}}]}, "empty"),
        ({"is_correct": False, "corrected_boxes": [{**BOX, "bbox": {"x1": math.nan, "y1": 20, "x2": 60, "y2": 80}}]}, "finite"),
        ({"is_correct": False, "corrected_boxes": [{**BOX, "bbox": {"x1": math.inf, "y1": 20, "x2": 60, "y2": 80}}]}, "finite"),
        ({"is_correct": False, "corrected_boxes": [{**BOX, "class_name": "Stage99"}]}, "not a class"),
        ({"is_correct": False, "corrected_boxes": [{"bbox": BOX["bbox"]}]}, "no class"),
        ({"is_correct": True, "user_comment": "x" * 2001}, "2000"), ({"is_correct": True, "user_comment": "a\u0000b"}, "control"),
        ({"is_correct": True, "user_comment": "a\x1b[31mb"}, "control"), ({"is_correct": True, "confidence_rating": 6}, "rating"),
        ({"is_correct": "yes"}, "is_correct"), ({"is_correct": 1}, "is_correct"), ({"is_correct": True, "user_id": "a\nb"}, "control"),
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_is_a_clear_refusal_and_nothing_of_it_is_kept(
    service: Service, word: dict[str, Any], words: str
) -> None:
    prediction_id = answered(service)
    body = json.dumps({"prediction_id": prediction_id, **word})  # NaN and Infinity too, as some clients write them
    headers = {**service.key("field", "maria"), "Content-Type": "application/json", "Idempotency-Key": "refused"}
    before = reasons(service, prediction_id)
    answer = service.client.post(SUBMIT, content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
    assert re.search(words, answer.json()["detail"]), answer.json()["detail"]
    assert rows(service, prediction_id) == 0
    assert reasons(service, prediction_id) == before
    with service.parts.ledger.reading() as session:  # the key is free again
        assert session.get(IdempotencyKey, (service.ids["maria"], "refused")) is None


def test_a_word_on_an_answer_that_is_not_there_or_not_yours_is_not_found(service: Service) -> None:
    """reliability.md, row 35: strangers' ids."""
    pedros, deleted = answered(service, "pedro"), answered(service)
    service.client.delete(f"{PREDICTIONS}/{deleted}", headers=service.key("field", "maria"))
    for prediction_id in (pedros, deleted, "0" * 36, "x", "", "' OR 1=1 --"):
        for call in (say(service, prediction_id, is_correct=True), undo(service, prediction_id)):
            assert (call.status_code, call.json()["code"]) == (404, "not_found")
    assert rows(service, pedros) == 0
    assert say(service, pedros, "reviewer", is_correct=True).status_code == 200


def test_feedback_on_a_photo_with_no_detection_works(service: Service) -> None:
    """features.md 1C, row 4: there such a photo was never stored, and disease that was missed stayed invisible."""
    prediction_id = answered(service, data=jpeg())
    stored = service.client.get(f"{PREDICTIONS}/{prediction_id}", headers=service.key("field", "maria")).json()
    assert stored["bbox_data"] == []
    answer = say(service, prediction_id, is_correct=False, corrected_boxes=[BOX])
    assert answer.status_code == 200, answer.text
    assert said(service, prediction_id)[0]["correct_outcome"] == "diseased"
    assert "correction" in reasons(service, prediction_id)


def test_a_word_that_could_not_be_saved_is_not_thanked_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """features.md 1C, row 4: there a failed save was swallowed and the answer given all the same."""
    prediction_id = answered(service)

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(feedback.reasons, "requeue", full)  # the last step before the commit
    assert say(service, prediction_id, is_correct=True, key="unsaved").status_code == 500
    assert rows(service, prediction_id) == 0
    monkeypatch.undo()
    assert say(service, prediction_id, is_correct=True, key="unsaved").status_code == 200
    assert rows(service, prediction_id) == 1


def test_nothing_marks_a_word_as_used_but_a_run_that_used_it(service: Service) -> None:
    """features.md 1C, row 1: there feedback was marked used before training, and a failed run lost every correction."""
    prediction_id = answered(service)
    say(service, prediction_id, is_correct=False, correct_class_name=SICKER)
    decide(service, prediction_id, SICK + 1, "yes")
    say(service, prediction_id, is_correct=True)
    undo(service, prediction_id)
    (word,) = said(service, prediction_id)
    assert (word["status"], word["processed_for_training"], word["processed_at"]) == ("accepted", False, None)


# Once


def test_the_same_word_doubled_is_one_row(service: Service) -> None:
    """reliability.md, row 35: doubled feedback."""
    prediction_id = answered(service)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: say(service, prediction_id, is_correct=True).json(), range(12)))
    assert all(answer == answers[0] for answer in answers)
    assert rows(service, prediction_id) == 1


def test_one_idempotency_key_gives_one_row_and_the_same_answer(service: Service) -> None:
    prediction_id = answered(service)
    with ThreadPoolExecutor(6) as pool:
        first = list(pool.map(lambda _: say(service, prediction_id, key="w1", is_correct=True).json(), range(6)))
    say(service, prediction_id, is_correct=False)
    assert say(service, prediction_id, key="w1", is_correct=True).json() == first[0]  # a late retry changes nothing
    assert [word["is_correct"] for word in said(service, prediction_id)] == [False]
    other = say(service, prediction_id, key="w1", is_correct=False)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")


def test_an_undo_that_names_its_word_is_harmless_when_it_is_repeated_without_a_key(service: Service) -> None:
    prediction_id = answered(service)
    first = say(service, prediction_id, is_correct=True).json()["feedback_id"]
    second = say(service, prediction_id, is_correct=False).json()["feedback_id"]
    for _ in range(3):
        assert undo(service, prediction_id, feedback_id=second).json()["feedback_id"] == first
    assert undo(service, prediction_id, feedback_id="0" * 36).json()["code"] == "not_found"
    assert [word["id"] for word in said(service, prediction_id)] == [first]


def test_an_undo_that_is_sent_twice_with_its_key_undoes_once(service: Service) -> None:
    prediction_id = answered(service)
    say(service, prediction_id, is_correct=True)
    say(service, prediction_id, is_correct=False)
    headers = {**service.key("field", "maria"), "Idempotency-Key": "u1"}
    twice = [service.client.post(UNDO, json={"prediction_id": prediction_id}, headers=headers).json() for _ in range(2)]
    assert twice[0] == twice[1]
    assert [word["is_correct"] for word in said(service, prediction_id)] == [True]


def test_a_flood_of_words_is_told_to_wait(start: Start) -> None:
    """reliability.md, row 35: 10,000 a minute."""
    flooded = start(bundled=NO_MODEL, LEAFLOOP_FEEDBACK_RATE_LIMIT="5/minute")
    codes = [say(flooded, "0" * 36, "bot", is_correct=True).status_code for _ in range(8)]
    assert codes == [404] * 5 + [429] * 3
    assert int(say(flooded, "0" * 36, "bot", is_correct=True).headers["retry-after"]) > 0
    assert say(flooded, "0" * 36, "ana", is_correct=True).status_code == 404  # another key has its own
    assert flooded.client.get(WORDS, headers=flooded.key("field", "bot")).status_code == 200


# What becomes of it


def test_a_second_word_replaces_the_first_and_undo_brings_it_back(service: Service) -> None:
    prediction_id = answered(service)
    first = say(service, prediction_id, is_correct=True).json()["feedback_id"]
    second = say(service, prediction_id, is_correct=False, correct_outcome="no_leaf").json()["feedback_id"]
    listed = service.client.get(f"{WORDS}?prediction_id={prediction_id}", headers=service.key("field", "maria")).json()
    assert [(w["id"], w["status"], w["replaces"]) for w in listed["items"]] == [
        (second, "pending", first), (first, "replaced", None)
    ]  # fmt: skip
    back = undo(service, prediction_id).json()
    assert (back["feedback_id"], back["status"]) == (first, "pending")
    shapes.check(service.client, "POST", UNDO, back)
    gone = undo(service, prediction_id).json()
    assert (gone["feedback_id"], gone["status"]) == (None, None)
    shapes.check(service.client, "POST", UNDO, gone)
    assert undo(service, prediction_id).status_code == 404
    assert said(service, prediction_id) == []


def test_contradictory_pairs_go_to_review(service: Service) -> None:
    """reliability.md, row 35: contradictory pairs."""
    prediction_id = answered(service)
    say(service, prediction_id, is_correct=True, user_id="ana")
    assert "contradiction" not in reasons(service, prediction_id)
    say(service, prediction_id, is_correct=False, correct_outcome="healthy", user_id="ben")
    assert "contradiction" in reasons(service, prediction_id)
    undo(service, prediction_id, user_id="ben")
    assert "contradiction" not in reasons(service, prediction_id)


def test_who_asks_an_expert_finds_the_reply_on_the_answer(service: Service) -> None:
    prediction_id = answered(service)
    say(service, prediction_id, ask_expert=True)
    url, headers = f"{PREDICTIONS}/{prediction_id}", service.key("field", "maria")
    assert service.client.get(url, headers=headers).json()["reply"] is None
    decide(service, prediction_id, SICK + 1, "Cut these leaves.")
    told = service.client.get(url, headers=headers).json()
    reply = told["reply"]
    assert (reply["outcome"], reply["class_name"], reply["comment"]) == ("diseased", SICKER, "Cut these leaves.")
    assert told["feedback"][0]["status"] == "accepted"
    shapes.check(service.client, "GET", PREDICTIONS + "/{prediction_id}", told)


def test_a_phone_sees_its_own_words_and_an_agronomist_all(service: Service) -> None:
    prediction_id = answered(service)
    marias = say(service, prediction_id, is_correct=True).json()["feedback_id"]
    others = say(service, prediction_id, "reviewer", is_correct=False).json()["feedback_id"]
    assert [word["id"] for word in said(service, prediction_id)] == [marias]
    url = f"{PREDICTIONS}/{prediction_id}"
    all_words = service.client.get(url, headers=service.key("reviewer")).json()["feedback"]
    assert [word["id"] for word in all_words] == [marias, others]
    listed = service.client.get(f"{WORDS}?limit=500", headers=service.key("field", "maria")).json()["items"]
    assert others not in {word["id"] for word in listed}
    for method in ("GET", "PATCH", "DELETE"):
        body = {"user_comment": "x"} if method == "PATCH" else None
        answer = service.client.request(method, f"{WORDS}/{others}", headers=service.key("field", "maria"), json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


# The list


def test_a_list_has_the_older_columns_and_filters_and_goes_on(service: Service) -> None:
    ids = []
    for number in range(5):
        prediction_id = answered(service, "lister")
        ids.append(say(service, prediction_id, "lister", is_correct=number % 2 == 0).json()["feedback_id"])
    headers = service.key("field", "lister")
    body = service.client.get(WORDS, headers=headers).json()
    assert [item["id"] for item in body["items"]] == ids[::-1]
    assert (body["total"], body["limit"], body["offset"], body["next_cursor"]) == (5, 100, 0, None)
    assert set(body["items"][0]) >= OLDER_COLUMNS
    shapes.check(service.client, "GET", WORDS, body)
    for query, count in (
        ("is_correct=true", 3), ("is_correct=false", 2), (f"prediction_id={prediction_id}", 1), ("prediction_id=x", 0),
        ("status=pending", 5), ("status=withdrawn", 0),
    ):  # fmt: skip
        assert service.client.get(f"{WORDS}?{query}", headers=headers).json()["total"] == count
    by_offset = service.client.get(f"{WORDS}?limit=2&offset=2", headers=headers).json()
    assert [item["id"] for item in by_offset["items"]] == ids[::-1][2:4]
    seen, cursor = [], ""
    while cursor is not None:
        page = service.client.get(f"{WORDS}?limit=2{cursor and '&cursor=' + cursor}", headers=headers).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == ids[::-1]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "offset=-1", "cursor=x", "is_correct=maybe", "status=lost", "prediction_id=a%00b"]
)
def test_a_list_that_cannot_be_is_refused(service: Service, query: str) -> None:
    answer = service.client.get(f"{WORDS}?{query}", headers=service.key("reviewer"))
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


@pytest.mark.parametrize("name", ["x", "0" * 36, "..%2f..%2fetc", "%00", "' OR 1=1 --"])
def test_an_id_that_is_none_is_not_found(service: Service, name: str) -> None:
    answer = service.client.get(f"{WORDS}/{name}", headers=service.key("operator"))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_how_a_word_was_put_may_be_set_right_and_the_change_is_on_record(service: Service) -> None:
    word = say(service, answered(service), is_correct=True, user_comment="helty", confidence_rating=1).json()[
        "feedback_id"
    ]
    url, headers = f"{WORDS}/{word}", service.key("field", "maria")
    answer = service.client.patch(url, headers=headers, json={"user_comment": " healthy ", "confidence_rating": 5})
    assert answer.json() == {"ok": True, "feedback_id": word}
    now = service.client.get(url, headers=headers).json()
    assert (now["user_comment"], now["confidence_rating"]) == ("healthy", 5)
    with service.parts.ledger.reading() as session:
        entry = next(e for e in audit.latest(session) if e.subject == word)
    assert (entry.actor, entry.action) == (f"key:{service.ids['maria']}", "feedback.edit")
    assert entry.detail == {
        "before": {"user_comment": "helty", "confidence_rating": 1},
        "after": {"user_comment": "healthy", "confidence_rating": 5},
    }


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"is_correct": False}, 409, "claims"), ({"correct_class_name": SICKER}, 409, "claims"), ({"corrected_boxes": []}, 409, "claims"),
        ({"status": "accepted"}, 409, "follows"), ({"user_id": "pedro"}, 409, "whose"), ({"timestamp": "x"}, 409, "whose"),
        ({"processed_for_training": True}, 409, "training run"), ({"user_comment": "x", "ask_expert": True}, 409, "claims"),
        ({}, 422, "can be changed"), ({"banana": 1}, 422, "can be changed"), ({"confidence_rating": 9}, 422, "rating"),
        ({"user_comment": "a\u0000"}, 422, "control"),
    ],
)  # fmt: skip
def test_what_a_word_claims_and_what_is_derived_stays_as_it_is(
    service: Service, change: dict[str, Any], status: int, word: str
) -> None:
    feedback_id = say(service, answered(service), is_correct=True).json()["feedback_id"]
    url = f"{WORDS}/{feedback_id}"
    before = service.client.get(url, headers=service.key("reviewer")).json()
    answer = service.client.patch(url, headers=service.key("operator"), json=change)
    assert (answer.status_code, word in answer.json()["detail"]) == (status, True), answer.text
    assert service.client.get(url, headers=service.key("reviewer")).json() == before


def test_a_word_that_a_run_used_or_that_is_history_stays_as_it_is(service: Service) -> None:
    prediction_id = answered(service)
    first = say(service, prediction_id, is_correct=True).json()["feedback_id"]
    second = say(service, prediction_id, user_comment="hm").json()["feedback_id"]
    headers = service.key("field", "maria")
    replaced = service.client.patch(f"{WORDS}/{first}", headers=headers, json={"user_comment": "x"})
    assert (replaced.status_code, replaced.json()["code"]) == (409, "not_editable")
    emptied = service.client.patch(f"{WORDS}/{second}", headers=headers, json={"user_comment": None})
    assert (emptied.status_code, "Withdraw" in emptied.json()["detail"]) == (409, True)
    with service.parts.ledger.transaction() as session:
        session.get_one(Feedback, second).processed_for_training = True
    used = service.client.patch(f"{WORDS}/{second}", headers=headers, json={"user_comment": "x"})
    assert (used.status_code, "training run" in used.json()["detail"]) == (409, True)


def test_a_deleted_word_is_withdrawn_and_its_history_stays(service: Service) -> None:
    prediction_id = answered(service)
    first = say(service, prediction_id, is_correct=True).json()["feedback_id"]
    second = say(service, prediction_id, is_correct=False).json()["feedback_id"]
    url = f"{WORDS}/{second}"
    assert service.client.delete(url, headers=service.key("reviewer")).json() == {"ok": True, "deleted": second}
    assert [(word["id"], word["status"]) for word in said(service, prediction_id)] == [(first, "pending")]
    for answer in (
        service.client.get(url, headers=service.key("reviewer")),
        service.client.delete(url, headers=service.key("reviewer")),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    history = service.client.get(
        f"{WORDS}?prediction_id={prediction_id}&status=withdrawn", headers=service.key("reviewer")
    ).json()
    assert [word["id"] for word in history["items"]] == [second]
    with service.parts.ledger.reading() as session:
        entry = next(e for e in audit.latest(session) if e.subject == second)
    assert (entry.actor, entry.action) == (f"key:{service.ids['reviewer']}", "feedback.withdraw")


def test_an_answers_own_columns_for_words_and_reply_are_not_edited(service: Service) -> None:
    url, headers = f"{PREDICTIONS}/{answered(service)}", service.key("operator")
    for change in ({"feedback": []}, {"reply": None}):
        answer = service.client.patch(url, headers=headers, json=change)
        assert (answer.status_code, answer.json()["code"]) == (409, "not_editable")


# Counted


def test_words_are_counted_with_the_older_keys_and_an_interval(start: Start) -> None:
    fresh = start()
    names = [answered(fresh, "maria", SICK_LEAF if n < 5 else jpeg()) for n in range(6)]
    url = f"{STATS}?days=7"
    empty = fresh.client.get(url, headers=fresh.key("reviewer")).json()
    assert (empty["overall_accuracy"], empty["accuracy_interval"], empty["feedback_rate"]) == (None, None, 0.0)
    shapes.check(fresh.client, "GET", STATS, empty)
    for prediction_id in names[:3]:
        say(fresh, prediction_id, is_correct=True)
    say(fresh, names[3], is_correct=True)
    say(fresh, names[3], is_correct=False, correct_outcome="healthy")  # changed his mind: one word counts
    say(fresh, names[4], is_correct=True)
    undo(fresh, names[4])
    say(fresh, names[5], ask_expert=True)  # says neither right nor wrong
    say(fresh, names[0], "reviewer", is_correct=False)
    decide(fresh, names[0], SICK, "the answer was right")  # and overruled that one
    body = fresh.client.get(url, headers=fresh.key("reviewer")).json()
    shapes.check(fresh.client, "GET", STATS, body)
    assert body["period_days"] == 7
    assert (body["total_predictions"], body["total_feedback"]) == (6, 4)
    assert (body["correct_predictions"], body["incorrect_predictions"], body["overall_accuracy"]) == (3, 1, 0.75)
    low, high = body["accuracy_interval"]
    assert 0.15 < low < 0.75 < high < 1
    assert body["feedback_rate"] == pytest.approx(4 / 6)
    assert body["by_status"] == {"pending": 4, "accepted": 1, "overruled": 1, "replaced": 1, "withdrawn": 1}
    name = BANANA.class_names[SICK]
    assert body["class_statistics"][name] == {
        "total_predictions": 5, "total_feedback": 4, "correct": 3, "incorrect": 1, "accuracy": 0.75
    }  # fmt: skip
    (unnamed,) = set(body["class_statistics"]) - {name}
    assert unnamed in ("uncertain", "no_leaf", BANANA.class_names[0])
    assert fresh.client.get(f"{STATS}?model_version=99", headers=fresh.key("reviewer")).json()["total_predictions"] == 0
    with fresh.parts.ledger.transaction() as session:
        for row in session.scalars(select(Prediction)):
            row.timestamp = row.timestamp.replace(year=row.timestamp.year - 2)
    assert fresh.client.get(f"{STATS}?days=365", headers=fresh.key("reviewer")).json()["total_feedback"] == 0


@pytest.mark.parametrize("query", ["days=0", "days=366", "days=x", "model_version=a%00"])
def test_counts_that_cannot_be_are_refused(service: Service, query: str) -> None:
    answer = service.client.get(f"{STATS}?{query}", headers=service.key("reviewer"))
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_at_an_open_service_words_and_counts_can_be_tried_out(open_service: Service) -> None:
    prediction_id = open_service.predict().json()["prediction_id"]
    said_so = open_service.client.post(SUBMIT, json={"prediction_id": prediction_id, "is_correct": True})
    assert said_so.status_code == 200
    assert open_service.client.get(STATS).json()["total_feedback"] == 1
    assert open_service.client.get(WORDS).json()["total"] == 1
    metrics = open_service.client.get("/metrics").text
    assert 'leafloop_feedback_total{kind="right"}' in metrics
