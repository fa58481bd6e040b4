"""A process that makes a snapshot is killed at any point: there is nothing of it, or all; and the next one makes the very same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.learning.labelled import Labelled, labelled

from leafloop.learning.snapshots import verification
from leafloop.storage import snapshots
from leafloop.storage.tables import Snapshot, SnapshotPhoto, SplitGroup, TrainingData

# A real process that dies at the entry of the n-th call of a function, as a power cut would have it.
DYING = """
import importlib, os, pathlib, signal, sys
from tests.learning.labelled import labelled
url, folder, module, owner, name, nth = sys.argv[1:]
place = importlib.import_module(module)
place = getattr(place, owner) if owner else place
whole, calls = getattr(place, name), []
def dying(*args, **kwargs):
    calls.append(1)
    if len(calls) == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*args, **kwargs)
setattr(place, name, dying)
print(labelled(url, pathlib.Path(folder)).make().hash)
"""
POINTS = [
    ("leafloop.storage.folder", "LocalBlobs", "put", 9),
    ("leafloop.storage.audit", "", "record", 1),
]
AFTER = ("leafloop.storage.snapshots", "", "mirror", 1)  # all is committed, and not yet repeated beside the labels


def _counts(place: Labelled) -> list[int]:
    with place.ledger.reading() as session:
        tables = (Snapshot, SnapshotPhoto, SplitGroup)
        rows = [session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]
        mirrored = select(func.count()).select_from(TrainingData).where(TrainingData.split_group.is_not(None))
        return [*rows, session.scalar(mirrored) or 0]


def _die(url: str, folder: Path, point: tuple[str, str, str, int]) -> None:
    words = [sys.executable, "-c", DYING, url, str(folder), *map(str, point)]
    died = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert died.returncode == -9, died.stderr


@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
def test_killed_while_it_is_made_nothing_is_half_made(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'l.db'}" if where == "sqlite" else str(request.getfixturevalue("postgres_url"))
    place = labelled(url, tmp_path)
    place.many(12)
    name = place.make(dry_run=True).hash
    for point in POINTS if where == "sqlite" else POINTS[1:]:
        _die(url, tmp_path, point)
        assert _counts(place) == [0, 0, 0, 0], point
    _die(url, tmp_path, AFTER)
    assert _counts(place) == [1, 12, 12, 0]
    assert place.make().hash == name
    assert _counts(place) == [1, 12, 12, 12]
    with place.ledger.reading() as session:
        (row,) = snapshots.newest(session)
    found = verification.verify(place.ledger, place.blobs, [row])
    assert {fault.what for fault in found.faults} <= {"photo"}  # these labels never had objects
    place.ledger.close()


def test_two_that_make_one_at_once_make_one_snapshot(tmp_path: Path, postgres_url: str) -> None:
    place = labelled(postgres_url, tmp_path)
    place.many(20)
    script = "import sys, pathlib; from tests.learning.labelled import labelled; print(labelled(sys.argv[1], pathlib.Path(sys.argv[2])).make().hash)"
    both = [
        subprocess.Popen([sys.executable, "-c", script, postgres_url, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = {process.communicate(timeout=120)[0].splitlines()[-1] for process in both}
    assert len(said) == 1
    assert _counts(place)[:2] == [1, 20]
    place.ledger.close()
