"""Erasing and real snapshots: the manifest stays to the byte, verifies with the photo as erased, and no new one takes it in."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select
from tests.learning.labelled import CLASSES, labelled

from leafloop.learning.keeping import erasure
from leafloop.learning.snapshots import verification
from leafloop.live import forgetting
from leafloop.live.parts import Store
from leafloop.settings import Settings
from leafloop.storage.tables import Snapshot


def test_a_snapshot_verifies_after_a_person_in_it_was_erased(tmp_path: Path) -> None:
    full = labelled(f"sqlite:///{tmp_path / 'a.db'}", tmp_path)
    store = Store(Settings(home=tmp_path / "home"), CLASSES, full.ledger, full.blobs)
    with store:
        for number in range(12):
            who = {"key_id": "fekey123", "user_id": "ana.cruz" if number % 3 == 0 else "ben.reyes"}
            full.add(f"photo {number}", 1 + number % 3, stored=full.blobs.put(b"photo %d" % number), **who)
        made = full.make()
        header = full.blobs.get(made.hash)
        done = forgetting.erase(store, erasure.Person("ana.cruz", ("fekey123",)), reason="request 17")
        assert (done.removed["tombstones"], done.objects, done.snapshots[0]["photos"]) == (4, 4, 4)
        assert full.blobs.get(made.hash) == header
        with full.ledger.reading() as session:
            rows = session.scalars(select(Snapshot)).all()
        found = verification.verify(full.ledger, full.blobs, rows)
        assert (found.photos, found.erased, found.faults) == (12, 4, [])
        again = full.make()
        assert again.hash != made.hash
        assert not {f"photo {number}" for number in (0, 3, 6, 9)} & full.lines(again).keys()
