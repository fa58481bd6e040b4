"""Idempotency-Keys: one claims, the others see who; an answer is kept once; a dead claim is taken over."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest

from leafloop.storage import idempotency
from leafloop.storage.ledger import Ledger

LEASE = timedelta(seconds=20)


def _claim(
    ledger: Ledger, token: str, *, fingerprint: str = "f", lease: timedelta = LEASE
) -> idempotency.IdempotencyKey:
    with ledger.transaction() as session:
        row = idempotency.claim(session, "open", "k", fingerprint=fingerprint, token=token, lease=lease)
        session.expunge(row)
        return row


def _finish(ledger: Ledger, token: str) -> bool:
    with ledger.transaction() as session:
        return idempotency.finish(
            session, "open", "k", token=token, answer={"by": token}, prediction_id="p", status=200
        )


def test_the_first_claims_and_the_second_sees_it(ledger: Ledger) -> None:
    assert _claim(ledger, "one").claim_token == "one"
    assert _claim(ledger, "two").claim_token == "one"


def test_an_answer_is_kept_once_and_seen_by_all(ledger: Ledger) -> None:
    _claim(ledger, "one")
    assert _finish(ledger, "one")
    assert not _finish(ledger, "one")
    assert _claim(ledger, "two").answer == {"by": "one"}


def test_a_claim_whose_lease_ran_out_is_taken_over_and_its_first_owner_writes_nothing(ledger: Ledger) -> None:
    _claim(ledger, "dead")
    assert _claim(ledger, "heir", lease=timedelta(seconds=-1)).claim_token == "heir"
    assert not _finish(ledger, "dead")
    assert _finish(ledger, "heir")


def test_another_request_never_takes_a_key_over(ledger: Ledger) -> None:
    _claim(ledger, "dead")
    row = _claim(ledger, "other", fingerprint="another", lease=timedelta(seconds=-1))
    assert (row.claim_token, row.fingerprint) == ("dead", "f")


def test_a_released_key_is_free_and_an_answered_one_cannot_be_released(ledger: Ledger) -> None:
    _claim(ledger, "one")
    with ledger.transaction() as session:
        idempotency.release(session, "open", "k", token="one")
    assert _claim(ledger, "two").claim_token == "two"
    _finish(ledger, "two")
    with ledger.transaction() as session:
        idempotency.release(session, "open", "k", token="two")
    assert _claim(ledger, "three").answer == {"by": "two"}


def test_of_many_processes_exactly_one_claims(ledger: Ledger, database_url: str) -> None:
    program = (
        "import sys; from datetime import timedelta\n"
        "from leafloop.storage import idempotency; from leafloop.storage.ledger import Ledger\n"
        "ledger = Ledger(sys.argv[1])\n"
        "for i in range(20):\n"
        "    with ledger.transaction() as s:\n"
        "        row = idempotency.claim(s, 'open', f'k{i}', fingerprint='f', token=sys.argv[2], lease=timedelta(seconds=20))\n"
        "        print(row.claim_token == sys.argv[2])\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, database_url, token], stdout=subprocess.PIPE, text=True)
        for token in "abc"
    ]
    said = [process.communicate(timeout=60)[0].split() for process in running]
    assert all(len(lines) == 20 for lines in said)
    assert [sum(line == "True" for line in column) for column in zip(*said, strict=True)] == [1] * 20


@pytest.mark.parametrize("scope", ["open", "aaaaaaaa"])
def test_two_callers_may_use_one_key(ledger: Ledger, scope: str) -> None:
    _claim(ledger, "one")
    with ledger.transaction() as session:
        row = idempotency.claim(session, "bbbbbbbb", "k", fingerprint="f", token=scope, lease=LEASE)
        assert row.claim_token == scope
