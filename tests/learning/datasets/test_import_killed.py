"""kill -9 in an import: nothing of it is here, what lies in the object store is swept, and the same command brings all of it in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.learning.dataset_files import NOTHING, bring, rows, write, yolo

from leafloop.learning.datasets.intake import Place
from leafloop.live import sweeping
from leafloop.live.auditing import Kept, audit
from leafloop.live.sweeping import Sweepable

BOX = "1 0.5 0.5 0.2 0.5\n"
# A real process that kills itself in the middle of a step: at a set point, so that the test means the same on every machine.
SCRIPT = """
import os, signal, sys
from pathlib import Path
from leafloop.learning.datasets.intake import Place
from leafloop.storage.blobs import LocalBlobs
from leafloop.storage.ledger import Ledger
from leafloop.vision.decoders import Decoders
from leafloop.vision.photo import PhotoLimits
from leafloop.storage import imports
from tests.learning.dataset_files import bring

root, point = Path(sys.argv[1]), sys.argv[2]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(count, do):
    calls = []
    def wrapped(*args, **names):
        calls.append(1)
        if len(calls) > count:
            die()
        return do(*args, **names)
    return wrapped

if point == "between two objects":
    LocalBlobs.put = after(2, LocalBlobs.put)
elif point == "before the rows":
    imports.add = die
elif point == "between photos and labels":
    imports.batches = after(1, imports.batches)
elif point == "before the commit":
    imports.hold_objects = die
ledger = Ledger(f"sqlite:///{root / 'ledger.db'}")
bring(Place(ledger, LocalBlobs(root / "blobs"), Decoders(PhotoLimits())), root / "set")
print("came to its end")
"""
POINTS = ("between two objects", "before the rows", "between photos and labels", "before the commit")


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_it_leaves_nothing_half_imported(
    place: Place, tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
):
    folder = write(tmp_path / "set", yolo({f"train/{number}": BOX for number in range(5)}))
    if point == "between photos and labels":
        monkeypatch.setattr("leafloop.storage.imports.BATCH", 500)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), point],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, ""), done.stderr
    assert rows(place.ledger) == NOTHING
    assert len(list(place.blobs.keys())) <= 5

    monkeypatch.setattr(sweeping, "ORPHAN_AGE", timedelta(0))
    monkeypatch.setattr(sweeping, "DRAFT_AGE", timedelta(0))
    for path in (tmp_path / "blobs").rglob("*"):
        os.utime(path, (1, 1))
    sweeping.sweep(Sweepable(place.ledger, place.blobs, tmp_path / "cache"))
    assert list(place.blobs.keys()) == []

    assert bring(place, folder).photos == 5
    assert rows(place.ledger) == {"photos": 5, "training_data": 5, "imports": 1, "audit": 1}
    assert [f for f in audit(Kept(place.ledger, place.blobs)) if not f.ok and f.check != "champion"] == []
