"""No memory left (matrix row 12): what decodes goes first, its sender is told to come again, and the service answers on."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from PIL import Image
from tests.chaos.conftest import audit, counted
from tests.chaos.journal import Journal
from tests.chaos.workload import Client
from tests.servers import wait_until
from tests.service import Service

LARGE = 50_000_000  # pixels: 150 MB decoded, more while it is decoded
HEADROOM = 100 * 2**20  # what the service may take beyond what it holds at rest: too little for one large photo
GROUPS = Path("/sys/fs/cgroup/memory")  # cgroup version 1; version 2 keeps the same limit in memory.max


class Cage:
    """A control group with a limit on memory, and the processes of one service in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        version_1 = GROUPS.is_dir()
        self._limit = folder / ("memory.limit_in_bytes" if version_1 else "memory.max")
        self._used = folder / ("memory.usage_in_bytes" if version_1 else "memory.current")

    def take_in(self, service: Service) -> None:
        """Before its memory is used: pages stay with the group in which they were touched first."""
        (self.folder / "cgroup.procs").write_text(str(service.process.pid))

    def limit(self, headroom: int) -> None:
        self._limit.write_text(str(int(self._used.read_text()) + headroom))


@pytest.fixture
def cage() -> Iterator[Cage]:
    root = GROUPS if GROUPS.is_dir() else Path("/sys/fs/cgroup")
    folder = root / f"leafloop-test-{secrets.token_hex(4)}"
    try:
        folder.mkdir()
        made = Cage(folder)
        made.limit(2**40)
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        pytest.skip(f"this machine does not let us make a control group with a limit on memory: {error}")
    yield made
    for pid in (folder / "cgroup.procs").read_text().split():
        with suppress(OSError):
            os.kill(int(pid), 9)
    wait_until(lambda: not (folder / "cgroup.procs").read_text().strip(), "the end of the caged")
    folder.rmdir()


def _large() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8000, LARGE // 8000), (60, 120, 50)).save(data, "JPEG", quality=70)
    return data.getvalue()


def test_eight_photos_too_large_for_memory_cost_themselves_and_nothing_else(
    cage: Cage, new_service: Callable[..., Service], journal: Journal
) -> None:
    service = new_service()
    inside = f'echo $$ > {cage.folder}/cgroup.procs; exec "$@"'
    service.start("sh", "-c", inside, "sh")
    client = Client(service, journal)
    assert client.upload(1, "before") is not None
    cage.limit(HEADROOM)
    large, pid = _large(), service.process.pid

    def send(_: int) -> httpx.Response:
        return service.http.post("/api/v1/predict", content=large, headers={"Content-Type": "image/jpeg"}, timeout=120)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert {answer.status_code for answer in answers} <= {413, 503}, [answer.text for answer in answers]
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
    assert counted(service, "leafloop_decoders_lost_total") > 0
    assert any(line.get("how") == "ended with -9" for line in service.events("decoder process lost"))
    assert service.process.poll() is None
    assert service.process.pid == pid
    for number in (1, 2):
        answer = client.upload(number, f"after {number}")
        assert answer is not None
        assert answer.status_code == 200, answer.text
    audit(service, journal)
