"""A data folder that cannot be written (matrix row 10): said at the start with exit 78; on a disk that turns read-only under a running
service photos are refused, and what is kept can still be read."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.chaos.conftest import audit, counted, ready
from tests.chaos.disks import break_the_disk, ext4, mend, mounted
from tests.chaos.journal import Journal, compare
from tests.chaos.workload import Client
from tests.service import Service

NewService = Callable[..., Service]
SIZE = 96 * 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    yield from ext4(tmp_path / "disk.img", tmp_path / "disk", SIZE)


def test_a_disk_that_turns_read_only_refuses_photos_and_gives_what_is_kept(
    disk: Path, new_service: NewService, journal: Journal, tmp_path: Path
) -> None:
    service = new_service(disk / "home")
    subprocess.run(["sync", "--file-system", disk], check=True, timeout=60)  # the copied home is the test's to keep
    service.start()
    client = Client(service, journal)
    kept = client.upload(1, "before")
    assert kept is not None
    break_the_disk(disk)
    for number, key in ((2, None), (3, "later")):
        refused = client.upload(number, key)
        assert refused is not None
        assert (refused.status_code, refused.json()["code"]) == (503, "read_only")
    compare(service.http, journal)
    assert service.http.get("/", headers={"Accept": "text/html"}).status_code == 200
    assert ready(service)["objects"]["state"] == "down"
    assert counted(service, 'leafloop_problems_total{code="read_only"}') == 2
    assert any(line.get("code") == "read_only" for line in service.events("request failed"))

    service.kill()
    assert service.refused() == 78  # an operator is needed, and is told so
    assert "read_only" in service.log().splitlines()[-1]

    mend(tmp_path / "disk.img", disk)
    service.start()
    for number, key in ((2, None), (3, "later")):
        assert client.upload(number, key).status_code == 200  # type: ignore[union-attr]
    audit(service, journal)


@contextmanager
def _unchangeable(folder: Path) -> Iterator[None]:
    done = subprocess.run(["chattr", "+i", folder], capture_output=True, timeout=10)
    if done.returncode:
        pytest.skip(f"chattr is not allowed here: {done.stderr.decode()[:200]}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], check=True, timeout=10)


@pytest.mark.parametrize("what", ["leafloop.db", ".", "blobs"])
def test_a_home_that_cannot_be_written_ends_the_start_with_what_why_and_what_to_do(
    what: str, new_service: NewService, journal: Journal
) -> None:
    service = new_service()
    with _unchangeable(service.home / what):
        if what == ".":  # the folders of the store are there, so only making a file in the home is refused
            assert service.run("doctor").code == 1
        assert service.refused() == 78
    said = service.log().splitlines()[-1]
    assert "read_only" in said
    assert "heck" in said  # Check ...
    service.start()
    assert Client(service, journal).upload(1).status_code == 200  # type: ignore[union-attr]
    audit(service, journal)


def test_a_home_on_a_disk_that_is_mounted_read_only_ends_the_start(
    tmp_path: Path, new_service: NewService, journal: Journal
) -> None:
    service = new_service()
    with mounted(service.home, "--bind", service.home):
        subprocess.run(["mount", "-o", "remount,bind,ro", service.home], check=True, timeout=10)
        assert service.refused() == 78
        assert "read_only" in service.log().splitlines()[-1]
