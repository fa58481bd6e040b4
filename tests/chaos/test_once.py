"""One Idempotency-Key, fifty senders at once (matrix row 27): one row, one look of the model, fifty times the same answer."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from tests.chaos.conftest import audit, counted
from tests.chaos.journal import Journal
from tests.chaos.photos import photo
from tests.chaos.workload import Client
from tests.service import Service

from leafloop.live.submission import Submission
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import IdempotencyKey

SENDERS = 50


def _inferences(service: Service) -> float:
    return counted(service, 'leafloop_predict_stage_seconds_count{stage="infer"}')


def test_fifty_at_once_with_one_key_get_one_answer_that_survives_a_kill(service: Service, journal: Journal) -> None:
    clients = [Client(service, journal) for _ in range(SENDERS)]
    together, heard = threading.Barrier(SENDERS), []

    def send(client: Client) -> None:
        together.wait(30)
        heard.append(client.upload(1, "one"))

    senders = [threading.Thread(target=send, args=(client,)) for client in clients]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    assert Counter(answer.status_code for answer in heard if answer is not None) == {200: SENDERS}
    (body,) = {answer.text for answer in heard if answer is not None}
    assert _inferences(service) == 1
    assert service.http.get("/api/v1/db/predictions").json()["total"] == 1

    service.kill()
    service.start()
    assert clients[0].upload(1, "one").text == body  # type: ignore[union-attr]
    other = clients[0].upload(2, "one")
    assert other is not None
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    assert _inferences(service) == 0
    audit(service, journal)


def test_a_key_means_something_to_its_sender_alone(service: Service) -> None:
    answers: list[dict[str, Any]] = []
    for _ in ("Alice", "Bob"):
        made = json.loads(service.leafloop("keys", "create", "--role", "field", "--json"))
        sender = {"Authorization": f"Bearer {made['key']}", "Idempotency-Key": "mine"}
        for _again in range(2):
            answers.append(_send(service.http, sender).json())
    alice, alice_again, bob, bob_again = (answer["prediction_id"] for answer in answers)
    assert alice == alice_again
    assert bob == bob_again
    assert alice != bob


def test_senders_who_wait_for_another_machine_hold_nobody_else_up(service: Service, journal: Journal) -> None:
    """The claim is of a machine that died: it counts for 20 s, and all the service's threads would not be enough for who waits."""
    _claimed_elsewhere(service, "theirs", photo(1))
    clients = [Client(service, journal) for _ in range(SENDERS)]
    with ThreadPoolExecutor(SENDERS) as crowd:
        heard = [crowd.submit(client.upload, 1, "theirs") for client in clients]
        time.sleep(2)
        for _ in range(5):
            began = time.monotonic()
            assert service.http.get("/api/v1/db/predictions").status_code == 200
            assert time.monotonic() - began < 5
        assert not any(answer.done() for answer in heard)
        answers = [answer.result(60) for answer in heard]
    assert Counter(answer.status_code for answer in answers if answer is not None) == {200: SENDERS}
    assert len({answer.text for answer in answers if answer is not None}) == 1
    audit(service, journal)


def _claimed_elsewhere(service: Service, key: str, data: bytes) -> None:
    ledger = Ledger(f"sqlite:///{service.home / 'leafloop.db'}")
    fingerprint = Submission(data).fingerprint
    with ledger.transaction() as session:
        session.add(IdempotencyKey(scope="open", key=key, fingerprint=fingerprint, claim_token="another machine"))
    ledger.close()


def _send(http: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    answer = http.post("/api/v1/predict", files={"file": ("1.jpg", photo(1), "image/jpeg")}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer
