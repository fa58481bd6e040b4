"""A claim is known to be over when its process is gone, and only then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from leafloop.live import claimants

MAKE = "from leafloop.live.claimants import new_token; print(new_token(), flush=True); input()"


@pytest.fixture
def other() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", MAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_claim_of_a_living_process_holds_and_that_of_a_dead_one_is_over(other: subprocess.Popen[str]) -> None:
    assert other.stdout is not None
    token = other.stdout.readline().strip()
    assert not claimants.is_dead(token)
    other.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert claimants.is_dead(token)  # ended, and not yet buried by its parent
    other.communicate(timeout=20)
    assert claimants.is_dead(token)


def test_our_own_claims_hold_and_no_two_are_the_same() -> None:
    tokens = {claimants.new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert not any(claimants.is_dead(token) for token in tokens)
    assert max(map(len, tokens)) <= 64


def test_a_number_that_was_given_to_another_process_since_is_not_taken_for_the_first() -> None:
    here, number, started, secret = claimants.new_token().split(":")
    assert claimants.is_dead(f"{here}:{number}:{int(started) - 1}:{secret}")


@pytest.mark.parametrize("token", ["", "dead", "a:b", "0123456789abcdef:1:2:3", "0123456789abcdef:999999:2:3"])
def test_of_a_process_elsewhere_nothing_is_said(token: str) -> None:
    assert not claimants.is_dead(token)
