"""A sync that fails (matrix row 6): nothing is acknowledged, the same file is never synced again, and it heals by itself."""

from __future__ import annotations

import pytest
from tests.chaos.conftest import audit, counted, ready
from tests.chaos.journal import Journal
from tests.chaos.strace import injected, needs_strace
from tests.chaos.workload import Client, Workload
from tests.servers import wait_until
from tests.service import Service

pytestmark = needs_strace


def test_while_syncs_fail_no_photo_is_acknowledged_and_afterwards_all_is_well(
    service: Service, journal: Journal
) -> None:
    client = Client(service, journal)
    kept = client.upload(1, "before")
    assert kept is not None
    with injected(service, "fsync,fdatasync:error=EIO"):
        for number in (2, 3):
            refused = client.upload(number)
            assert refused is not None
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_error")
        assert ready(service)["objects"]["state"] == "down"
        assert service.http.get(f"/api/v1/db/predictions/{kept.json()['prediction_id']}/photo").status_code == 200
        assert counted(service, 'leafloop_problems_total{code="storage_error"}') == 2
        assert counted(service, 'leafloop_dependency_up{part="objects"}') == 0
    assert any("Input/output error" in line["detail"] for line in service.events("request failed"))
    assert client.upload(2).status_code == 200  # type: ignore[union-attr]
    assert client.upload(3).status_code == 200  # type: ignore[union-attr]
    audit(service, journal)


def test_a_failed_sync_of_the_database_is_a_disk_that_failed_and_its_file_is_opened_anew(
    service: Service, journal: Journal
) -> None:
    client = Client(service, journal)
    client.upload(1, "before")
    with injected(service, "fdatasync:error=EIO") as trace:
        refused = client.upload(2)
        assert refused is not None
        assert (refused.status_code, refused.json()["code"]) == (503, "storage_error")
    failed = [line for line in trace.read_text().splitlines() if "fdatasync" in line and "EIO" in line]
    assert failed
    assert client.upload(2).status_code == 200  # type: ignore[union-attr]
    audit(service, journal)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_failing_sync_after_another_under_load_never_costs_an_acknowledged_photo(
    service: Service, journal: Journal
) -> None:
    """Every N-th sync of a thread fails, for N = 1, 2, ... 12."""
    with Workload(service, journal).running() as people:
        for nth in range(1, 13):
            met = people.told[503, "storage_error"]
            with injected(service, f"fsync,fdatasync:error=EIO:when={nth}+{nth}"):
                wait_until(lambda met=met: people.told[503, "storage_error"] > met, "a sync that fails")
            people.wait_for(3)
    assert {code for _, code in people.told} <= {"", "storage_error", "database_busy"}, people.told
    assert people.told[503, "storage_error"]
    service.kill()
    service.start()
    audit(service, journal)
