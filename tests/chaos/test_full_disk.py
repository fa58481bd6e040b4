"""No room (matrix rows 7, 8 and 9): photos are refused with 507 and a reason, all else goes on, and it heals without a restart."""

from __future__ import annotations

import io
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.chaos.conftest import audit, counted, ready, well_within
from tests.chaos.disks import fill, tmpfs
from tests.chaos.journal import Journal
from tests.chaos.workload import Client
from tests.servers import wait_until
from tests.service import Service

NewService = Callable[..., Service]
OBJECTS_UP = 'leafloop_dependency_up{part="objects"}'


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    yield from tmpfs(tmp_path / "disk", "64m")


def _heavy() -> bytes:
    """A photo of about 3 MB: noise does not compress."""
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (1000, 1000, 3), np.uint8)).save(data, "PNG")
    return data.getvalue()


def test_a_full_disk_refuses_photos_and_nothing_else(disk: Path, new_service: NewService, journal: Journal) -> None:
    service = new_service(disk / "home")
    service.start()
    client = Client(service, journal)
    kept = client.upload(1, "before")
    assert kept is not None
    answer = f"/api/v1/db/predictions/{kept.json()['prediction_id']}"
    wait_until(lambda: counted(service, OBJECTS_UP) == 1, "the metric", within=20)  # nobody has asked /ready yet

    ballast = fill(disk, leave=8 * 2**20)
    for number, key in ((2, None), (3, "full")):
        refused = client.upload(number, key)
        assert refused is not None
        assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
        assert int(refused.headers["retry-after"]) > 0
    wait_until(lambda: counted(service, OBJECTS_UP) == 0, "the metric", within=20)
    assert client.upload(1, "before").json() == kept.json()  # type: ignore[union-attr]
    assert service.http.get(f"{answer}/photo").status_code == 200
    assert service.http.get("/", headers={"Accept": "text/html"}).status_code == 200
    assert service.http.patch(answer, json={"user_location": "plot 7"}).status_code == 200  # people's words fit in
    word = {"prediction_id": kept.json()["prediction_id"], "is_correct": True}
    assert service.http.post("/api/v1/feedback/submit", json=word).status_code == 200
    assert ready(service)["objects"] == {"state": "down", "detail": ready(service)["objects"]["detail"]}
    assert "full" in ready(service)["objects"]["detail"]
    assert counted(service, 'leafloop_problems_total{code="storage_full"}') == 2
    assert any(line.get("code") == "storage_full" for line in service.events("not ready"))

    ballast.unlink()
    well_within(service, 5)
    assert client.upload(2, None).status_code == 200  # type: ignore[union-attr]
    assert client.upload(3, "full").status_code == 200  # type: ignore[union-attr]
    audit(service, journal)


def test_a_disk_that_is_full_to_its_last_byte_is_read_from_and_heals(
    disk: Path, new_service: NewService, journal: Journal
) -> None:
    service = new_service(disk / "home")
    service.start()
    client = Client(service, journal)
    kept = client.upload(1, "before")
    assert kept is not None
    answer = f"/api/v1/db/predictions/{kept.json()['prediction_id']}"
    ballast = fill(disk, leave=0)
    told = [service.http.patch(answer, json={"metadata": {"note": "x" * 10_000}}) for _ in range(20)]
    assert told[-1].json().get("code") == "storage_full", told[-1].text
    assert {one.status_code for one in told} <= {200, 507}
    assert client.upload(2, "full").status_code == 507  # type: ignore[union-attr]
    assert service.http.get(answer).status_code == 200
    assert client.look().status_code == 200  # type: ignore[union-attr]
    ballast.unlink()
    well_within(service, 5)
    assert client.upload(2, "full").status_code == 200  # type: ignore[union-attr]
    audit(service, journal)


def test_a_temporary_folder_without_room_is_not_needed(
    tmp_path: Path, new_service: NewService, journal: Journal
) -> None:
    for temporary in tmpfs(tmp_path / "tmp", "1m"):
        service = new_service(TMPDIR=str(temporary))
        service.start()
        fill(temporary, leave=0).rename(temporary / "theirs")
        sent = service.http.post("/api/v1/predict", files={"file": ("heavy.png", _heavy(), "image/png")})
        assert sent.status_code == 200, sent.text
        assert [path.name for path in temporary.iterdir()] == ["theirs"]
        assert Client(service, journal).upload(1).status_code == 200  # type: ignore[union-attr]
        service.kill()


def test_a_limit_on_file_sizes_is_a_full_disk_and_kills_nobody(service: Service, journal: Journal) -> None:
    client = Client(service, journal)
    kept = client.upload(1, "before")
    assert kept is not None
    _limit(service, "2000000")
    heavy = service.http.post("/api/v1/predict", files={"file": ("heavy.png", _heavy(), "image/png")})
    assert (heavy.status_code, heavy.json()["code"]) == (507, "storage_full")
    assert client.upload(2).status_code == 200  # type: ignore[union-attr]  # a small one fits

    answer = f"/api/v1/db/predictions/{kept.json()['prediction_id']}"
    notes = [service.http.patch(answer, json={"metadata": {"note": f"{n} " * 3000}}) for n in range(150)]
    refused = [note for note in notes if note.status_code != 200]
    assert refused, "the database's log never came to the limit"
    _until_not_ready(service, answer)
    assert {(note.status_code, note.json()["code"]) for note in refused} == {(507, "storage_full")}
    assert service.http.get(answer).status_code == 200
    assert service.process.poll() is None
    assert any("ulimit" in line["detail"] for line in service.events("request failed"))

    _limit(service, "unlimited")
    well_within(service, 10)
    assert client.upload(3, "after").status_code == 200  # type: ignore[union-attr]
    service.kill()
    service.start()
    audit(service, journal)


def _until_not_ready(service: Service, answer: str) -> None:
    """A small write may still fit where a larger one was refused; then it is well, until the next large one."""
    end = time.monotonic() + 20
    while service.http.get("/ready").status_code == 200:
        assert time.monotonic() < end, "it says that it is ready, and takes no word"
        service.http.patch(answer, json={"metadata": {"note": "note " * 2000}})
    database = ready(service)["database"]
    assert (database["state"], "full" in database["detail"]) == ("down", True), database


def _limit(service: Service, size: str) -> None:
    subprocess.run(["prlimit", f"--pid={service.process.pid}", f"--fsize={size}:unlimited"], check=True, timeout=10)
