"""The service dies at a moment of its own choosing (matrix rows 1 and 2): nothing acknowledged is lost, nothing is doubled.

`strace` kills it at the entry of the N-th call of a kind, made by any one thread after the photo was sent: between the photo's bytes
and its rename, between its object and its row, between its row and its answer.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.chaos.conftest import audit
from tests.chaos.journal import Journal
from tests.chaos.strace import injected, needs_strace
from tests.chaos.workload import Client, Workload
from tests.service import Service

CALLS = ("rename", "fsync", "fdatasync", "pwrite64", "unlink", "sendto")


def test_killed_under_load_and_started_again_it_has_all_that_it_acknowledged(
    service: Service, journal: Journal
) -> None:
    with Workload(service, journal, keyed=0.5).running() as people:
        people.wait_for(12)
        service.kill()
        service.start()
        people.wait_for(6)
    audit(service, journal)
    assert {status for status, _ in people.told} <= {0, 200}


def _killed_at(service: Service, journal: Journal, call: str, nth: int) -> bool:
    """Send a photo while the service is to die at a call: whether it did. Then it is started again, and has what it said."""
    number = 1000 * CALLS.index(call) + nth + 10
    client = Client(service, journal)
    with injected(service, f"{call}:signal=SIGKILL:when={nth}"):
        answer = client.upload(number)
    # The service also writes by itself now and then: it may have died after it answered.
    died = answer is None or service.process.poll() is not None
    if died:
        service.ended()
        service.start()
        assert client.upload(number) is not None
    return died


@needs_strace
@pytest.mark.parametrize(("call", "nth"), [("rename", 1), ("fsync", 2), ("fdatasync", 1)])
def test_killed_between_object_and_row_a_photo_is_there_whole_or_not_at_all(
    service: Service, journal: Journal, call: str, nth: int
) -> None:
    Client(service, journal).upload(1, "before")
    assert _killed_at(service, journal, call, nth)
    audit(service, journal)


@needs_strace
def test_killed_after_the_commit_and_before_the_answer_a_retry_gives_the_answer_that_was_never_heard(
    service: Service, journal: Journal
) -> None:
    client = Client(service, journal)
    client.upload(1, "before")
    with injected(service, "sendto:signal=SIGKILL:when=1", loop_alone=True):
        assert client.upload(2, "unheard") is None
    service.ended()
    service.start()
    (row,) = [row for row in _kept(service) if row["id"] not in _ids(journal)]
    heard = client.upload(2, "unheard")
    assert heard is not None
    assert heard.json()["prediction_id"] == row["id"]
    assert heard.json() == service.http.get(f"/api/v1/db/predictions/{row['id']}").json()["answer"]
    assert client.upload(2, "unheard").json() == heard.json()  # type: ignore[union-attr]
    assert len(_kept(service)) == 2
    audit(service, journal)


def _kept(service: Service) -> list[dict[str, object]]:
    items: list[dict[str, object]] = service.http.get("/api/v1/db/predictions").json()["items"]
    return items


def _ids(journal: Journal) -> set[str]:
    return {ack.id for ack in journal.acked()}


@needs_strace
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("call", CALLS)
def test_killed_at_every_call_of_a_kind_until_it_survives(service: Service, journal: Journal, call: str) -> None:
    """N = 1, 2, ... as SQLite's own tests do it, until a photo goes through without meeting the N-th call."""
    died = list(_until_it_survives(service, journal, call))
    audit(service, journal)
    assert any(died)


MOST_CALLS = 150  # a photo, its answer and its place in the review queue write some fifty pages of the database's log


def _until_it_survives(service: Service, journal: Journal, call: str) -> Iterator[bool]:
    for nth in range(1, MOST_CALLS):
        died = _killed_at(service, journal, call, nth)
        yield died
        if not died:
            return
    raise AssertionError(f"one photo makes {MOST_CALLS} calls of {call} and more")
