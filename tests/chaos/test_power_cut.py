"""The power goes (matrix row 4): what was acknowledged before is there after it, on a disk as the cut left it.

The home lies on an ext4 in a file, and the file is copied while it is mounted: the copy holds what had come to the disk at that
moment, and nothing of what was still on its way. The next round goes on with the copy, as a machine does that is switched on again.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.chaos.conftest import audit
from tests.chaos.disks import make_ext4, mounted
from tests.chaos.journal import Journal, compare
from tests.chaos.strace import injected, needs_strace
from tests.chaos.workload import Workload
from tests.service import Service

NewService = Callable[..., Service]
SIZE = 128 * 2**20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Machine:
    """A service whose disk can be cut off from power, and that goes on with what is left."""

    def __init__(self, folder: Path, new_service: NewService) -> None:
        self._folder, self._at, self._cuts = folder, folder / "disk", 0
        self._mount = ExitStack()
        make_ext4(self._image, SIZE)
        self._plug_in()
        self.service = new_service(self._at / "home")
        subprocess.run(["sync", "-f", self._at], check=True, timeout=30)
        self.service.start()

    @property
    def _image(self) -> Path:
        return self._folder / f"disk-{self._cuts}.img"

    def _plug_in(self) -> None:
        self._mount.enter_context(mounted(self._at, "-o", "loop", self._image))

    def cut(self) -> None:
        """Every process is gone at once, and so is what the system had not yet written."""
        self.service.kill()
        before = self._image
        self._cuts += 1
        subprocess.run(["cp", "--sparse=always", before, self._image], check=True, timeout=60)
        self._mount.close()
        before.unlink()
        self._plug_in()

    def close(self) -> None:
        self.service.kill()
        self._mount.close()


def test_twenty_power_cuts_at_any_moment_lose_nothing_that_was_acknowledged(
    tmp_path: Path, new_service: NewService, journal: Journal
) -> None:
    chance = random.Random(4)
    machine = Machine(tmp_path, new_service)
    try:
        for number in range(20):
            load = Workload(machine.service, journal, threads=3, seed=number, first=1 + 1000 * number, keyed=0.2)
            with load.running() as people:
                people.wait_for(chance.randint(1, 8))
                time.sleep(chance.uniform(0, 0.2))  # a moment that nothing chooses
                machine.cut()
            machine.service.start()
            audit(machine.service, journal)
    finally:
        machine.close()
    assert len({ack.id for ack in journal.acked()}) >= 60


@needs_strace
def test_a_disk_that_only_says_that_it_synced_loses_photos_and_this_test_sees_it(
    tmp_path: Path, new_service: NewService, journal: Journal
) -> None:
    """The counter-test: without it nobody would know that the one above looks at anything."""
    machine = Machine(tmp_path, new_service)
    try:
        with (
            injected(machine.service, "fsync,fdatasync:retval=0"),
            Workload(machine.service, journal, keyed=0).running() as people,
        ):
            people.wait_for(10)
            machine.cut()
        machine.service.start()
        with pytest.raises(AssertionError, match="lost"):
            compare(machine.service.http, journal)
    finally:
        machine.close()
