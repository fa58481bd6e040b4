"""The service is killed while people speak: a word that was acknowledged is there afterwards, once, as it was said."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.chaos.conftest import faults, well_within
from tests.chaos.journal import Journal
from tests.chaos.strace import injected, needs_strace
from tests.chaos.workload import Client
from tests.service import Service

SUBMIT, WORDS = "/api/v1/feedback/submit", "/api/v1/db/feedback"


@pytest.fixture
def prediction_id(service: Service, journal: Journal) -> str:
    answer = Client(service, journal).upload(1)
    assert answer is not None
    return str(answer.json()["prediction_id"])


class People:
    """Several who speak of one answer at once, each again and again; what was acknowledged to whom, in order."""

    def __init__(self, service: Service, prediction_id: str, count: int = 4) -> None:
        self._service, self._prediction_id = service, prediction_id
        self.heard: dict[str, list[tuple[str, str]]] = {f"user-{number}": [] for number in range(count)}
        self._stop, self._acked = threading.Event(), threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._speak, args=(user,)) for user in self.heard]

    def __enter__(self) -> People:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for(self, words: int) -> None:
        for _ in range(words):
            assert self._acked.acquire(timeout=60)

    def _speak(self, user: str) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            comment = f"{user} {number}"
            body = said(self._service, self._prediction_id, user_id=user, user_comment=comment)
            if body is None:
                self._stop.wait(0.05)
                continue
            self.heard[user].append((body["feedback_id"], comment))
            self._acked.release()


def said(service: Service, prediction_id: str, *, key: str | None = None, **word: Any) -> dict[str, Any] | None:
    """The answer to a word; None: none came, or a refusal for now."""
    headers = {"Idempotency-Key": key} if key else {}
    try:
        answer = service.http.post(SUBMIT, json={"prediction_id": prediction_id, **word}, headers=headers)
    except (httpx.TransportError, RuntimeError):  # RuntimeError: the client was closed as the service was killed
        return None
    return answer.json() if answer.is_success else None


def kept(service: Service) -> dict[str, dict[str, Any]]:
    found = service.http.get(WORDS, params={"limit": 500}).raise_for_status().json()
    assert found["next_cursor"] is None, "more words than the test looks at"
    return {row["id"]: row for row in found["items"]}


def test_killed_while_people_speak_it_has_every_word_that_it_acknowledged(service: Service, prediction_id: str) -> None:
    with People(service, prediction_id) as people:
        people.wait_for(12)
        service.kill()
        service.start()
        people.wait_for(8)
    well_within(service, 10)
    rows = kept(service)
    for user, heard in people.heard.items():
        for feedback_id, comment in heard:
            assert rows[feedback_id]["user_comment"] == comment
        mine = [row for row in rows.values() if row["user_id"] == user]
        assert sum(row["status"] == "pending" for row in mine) == 1
        replaced = [row["replaces"] for row in mine]
        assert len(replaced) == len(set(replaced))
    assert faults(service) == []


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before the commit", "before the answer"])
def test_killed_in_a_submit_a_retry_gives_one_row(service: Service, prediction_id: str, moment: str) -> None:
    call: dict[str, Callable[[], Any]] = {
        "before the commit": lambda: injected(
            service, "fdatasync:signal=SIGKILL:when=2"
        ),  # the first keeps the key's claim
        "before the answer": lambda: injected(service, "sendto:signal=SIGKILL:when=1", loop_alone=True),
    }
    with call[moment]():
        assert said(service, prediction_id, key="w1", is_correct=False, correct_outcome="no_leaf") is None
    service.ended()
    service.start()
    before = kept(service)
    heard = said(service, prediction_id, key="w1", is_correct=False, correct_outcome="no_leaf")
    assert heard is not None
    (row,) = kept(service).values()
    assert (row["id"], row["correct_outcome"]) == (heard["feedback_id"], "no_leaf")
    assert moment == "before the commit" or set(before) == {row["id"]}
    assert faults(service) == []
