"""One answer for one Idempotency-Key: however often it is asked for at once, by whom, and whoever died over it."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.live.conftest import FE, Shutter, answering_with, kept, picture, send

from leafloop.errors import (
    IdempotencyConflict,
    Overloaded,
)
from leafloop.live import once
from leafloop.live.answering import Sender, Submission
from leafloop.live.parts import Parts
from leafloop.storage.tables import IdempotencyKey


def test_fifty_at_once_get_one_answer_one_row_and_one_look(parts: Parts, reads: list[str]) -> None:
    parts.serving.current()
    with ThreadPoolExecutor(50) as pool:
        bodies = list(pool.map(lambda _: send(parts, idempotency_key="k1"), range(50)))
    assert all(body == bodies[0] for body in bodies)
    assert kept(parts) == (1, 1, 1)
    assert reads == ["rgb"]
    assert send(parts, idempotency_key="k1", file_name="renamed.jpg") == bodies[0]


def test_two_processes_at_once_give_one_answer_and_one_row(parts: Parts) -> None:
    (parts.settings.home / "photo.png").write_bytes(picture())
    program = """
import sys, json, pathlib, concurrent.futures
from leafloop import log
from leafloop.live.answering import Sender, Submission
from leafloop.live.once import patiently
from leafloop.live.parts import open_parts
from leafloop.settings import Settings
log.set_up("ERROR")
home = pathlib.Path(sys.argv[1])
with open_parts(Settings(home=home, inference_threads=1, precision="f32"), bundled=home) as parts:
    parts.serving.current()
    print("ready", flush=True)
    sys.stdin.readline()
    photo = Submission((home / "photo.png").read_bytes(), idempotency_key="k1")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for body in pool.map(lambda _: patiently(lambda: parts.answering.answer(photo, Sender("fekey123", "field"))), range(4)):
            print(json.dumps(body, sort_keys=True), flush=True)
"""
    command = [sys.executable, "-c", program, str(parts.settings.home)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    try:
        assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
        for process in both:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [line for process in both for line in process.communicate(timeout=60)[0].splitlines()]
    finally:
        for process in both:
            process.kill()
            process.wait(20)
    assert len(said) == 8
    assert len(set(said)) == 1
    assert kept(parts) == (1, 1, 1)


def test_a_key_used_for_another_photo_or_another_form_is_a_conflict(parts: Parts) -> None:
    first = send(parts, idempotency_key="k1")
    for data, fields in ((picture(None), {}), (picture(), {"group": "plot 3"})):
        with pytest.raises(IdempotencyConflict):
            send(parts, data, idempotency_key="k1", **fields)
    assert send(parts, idempotency_key="k1") == first
    assert kept(parts)[:2] == (1, 1)


def test_two_senders_may_use_the_same_key_and_never_see_each_others_answer(parts: Parts) -> None:
    bodies = [send(parts, sender=Sender(key, "field"), idempotency_key="k1") for key in ("fekey123", "anakey12", None)]
    assert len({body["prediction_id"] for body in bodies}) == 3
    assert kept(parts) == (3, 3, 1)  # three rows each, and the photo's bytes once


def test_without_a_key_each_sending_is_an_answer_of_its_own(parts: Parts) -> None:
    assert send(parts)["prediction_id"] != send(parts)["prediction_id"]
    assert kept(parts) == (2, 2, 1)


@pytest.fixture
def quick_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "LEASE", timedelta(seconds=0.5))


@pytest.mark.usefixtures("quick_lease")
def test_the_claim_of_a_process_that_was_killed_is_taken_over(parts: Parts) -> None:
    with parts.ledger.transaction() as session:
        sent = Submission(picture(), user_id="fe")
        session.add(IdempotencyKey(scope="fekey123", key="k1", fingerprint=sent.fingerprint, claim_token="dead"))
    began = time.monotonic()
    body = send(parts, idempotency_key="k1")
    assert time.monotonic() - began > 0.3
    assert send(parts, idempotency_key="k1") == body
    assert kept(parts)[:2] == (1, 1)


def test_one_who_was_overtaken_writes_nothing_and_gives_the_others_answer(parts: Parts) -> None:
    theirs = {"prediction_id": "theirs"}

    def steal() -> None:
        with parts.ledger.transaction() as session:
            session.execute(update(IdempotencyKey).values(claim_token="thief", answer=theirs))

    slow = answering_with(parts, Shutter(parts, after=steal))
    assert once.patiently(lambda: slow.answer(Submission(picture(), idempotency_key="k1"), FE)) == theirs
    assert kept(parts)[:2] == (0, 0)


def test_a_twin_that_takes_too_long_is_told_to_come_again(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "WAIT_S", 0.3)
    with parts.ledger.transaction() as session:
        sent = Submission(picture(), user_id="fe")
        session.add(IdempotencyKey(scope="fekey123", key="k1", fingerprint=sent.fingerprint, claim_token="slow"))
    with pytest.raises(Overloaded, match="still under way"):
        send(parts, idempotency_key="k1")
