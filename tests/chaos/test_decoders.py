"""Decoders that are killed, crash or hang under load (matrix rows 12 and 32): each costs a photo at most, and nobody notices."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.chaos.conftest import audit, counted
from tests.chaos.journal import Journal
from tests.chaos.workload import Workload
from tests.service import Service


def decoders(service: Service) -> list[int]:
    """The decoder processes of a service, by what the system says."""
    found = []
    for task in Path(f"/proc/{service.process.pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread or a process that has just ended
            for pid in (task / "children").read_text().split():
                if b"decoder_child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(int(pid))
    return found


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSEGV])
def test_decoders_that_die_again_and_again_cost_no_acknowledged_photo(
    service: Service, journal: Journal, sign: signal.Signals
) -> None:
    with Workload(service, journal).running() as people:
        for _ in range(6):
            people.wait_for(3)
            for pid in decoders(service):
                os.kill(pid, sign)
        people.wait_for(3)
    # A photo that was in a decoder as it crashed is taken for the cause; one whose decoder was killed twice may come again.
    assert {status for status, _ in people.told} <= {200, 204, 404, 422, 503}, people.told
    assert not people.told[500, "internal_error"]
    assert counted(service, "leafloop_decoders_lost_total") > 0
    assert service.events("decoder process lost")
    audit(service, journal)


def test_a_decoder_that_hangs_is_ended_in_time_and_the_others_photos_are_answered(
    service: Service, journal: Journal
) -> None:
    with Workload(service, journal).running() as people:
        people.wait_for(3)
        hung = decoders(service)[0]
        os.kill(hung, signal.SIGSTOP)
        people.wait_for(10)
        end = time.monotonic() + 30
        while hung in decoders(service) and time.monotonic() < end:
            people.wait_for(1)
    assert hung not in decoders(service)
    assert [line["how"] for line in service.events("decoder process lost")] == ["took too long"]
    audit(service, journal)
