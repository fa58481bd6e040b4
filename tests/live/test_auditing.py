"""The audit finds what is lost, rotten or left over, names it, and says how to mend it; a home that is whole has no finding."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from tests.learning.labelled import Labelled
from tests.live.conftest import picture, send

from leafloop.learning.snapshots import manifest
from leafloop.live.auditing import Finding, Kept, audit
from leafloop.live.parts import Parts
from leafloop.storage import idempotency
from leafloop.storage.tables import Photo, Tombstone, now


def _findings(parts: Parts) -> dict[str, Finding]:
    return {finding.check: finding for finding in audit(Kept(parts.ledger, parts.blobs))}


def _bad(parts: Parts) -> dict[str, Finding]:
    return {name: finding for name, finding in _findings(parts).items() if not finding.ok}


def _object(parts: Parts, key: str) -> Path:
    (path,) = (parts.settings.home / "blobs").glob(f"??/??/{key}*")
    return path


def _photo_key(parts: Parts, prediction_id: str) -> str:
    with parts.ledger.reading() as session:
        return str(
            session.scalar(text("select image_path from predictions where id = :id").bindparams(id=prediction_id))
        )


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _without_its_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))


def _with_a_bit_flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_home_that_is_whole_is_found_so(parts: Parts) -> None:
    send(parts, idempotency_key="one")
    findings = _findings(parts)
    assert all(finding.ok and not finding.mend for finding in findings.values()), findings
    assert "1 photos" in findings["photos"].detail


def test_it_tells_how_far_it_is(parts: Parts) -> None:
    send(parts)
    told: list[tuple[int, int]] = []
    list(audit(Kept(parts.ledger, parts.blobs, lambda done, of: told.append((done, of)))))
    assert told == [(1, 1)]


@pytest.mark.parametrize("spoil", [_half, _without_its_end, _with_a_bit_flipped])
def test_a_rotten_photo_is_named_with_its_answer_and_set_aside(parts: Parts, spoil: Callable[[Path], None]) -> None:
    answered = send(parts)["prediction_id"]
    key = _photo_key(parts, answered)
    spoil(_object(parts, key))
    for _ in range(2):  # also when it was set aside by the first look
        photos = _bad(parts)["photos"]
        assert key in photos.detail
        assert answered in photos.detail
        assert "rotten" in photos.detail
        assert "backup" in photos.mend
        assert _object(parts, key).name == f"{key}.rotten"
    send(parts)
    assert _bad(parts) == {}
    assert _object(parts, key).name == key


def test_a_missing_photo_is_named(parts: Parts) -> None:
    key = _photo_key(parts, send(parts)["prediction_id"])
    _object(parts, key).unlink()
    bad = _bad(parts)
    assert set(bad) == {"photos"}
    assert f"{key} (missing" in bad["photos"].detail


def test_a_rotten_model_is_told_twice_of_the_version_and_of_the_champion(parts: Parts) -> None:
    with parts.ledger.reading() as session:
        bundle_hash = str(session.scalar(text("select bundle_hash from models")))
    _half(_object(parts, bundle_hash))
    bad = _bad(parts)
    assert set(bad) == {"models", "champion"}
    assert "manifest.json of version 1 (rotten" in bad["models"].detail
    assert "leafloop models import" in bad["champion"].mend


def test_an_answer_whose_photo_has_no_row_is_named(parts: Parts) -> None:
    answered = send(parts)["prediction_id"]
    with parts.ledger.transaction() as session:
        session.execute(text("PRAGMA defer_foreign_keys=ON"))
    raw = parts.ledger._engine.raw_connection()
    raw.cursor().execute("PRAGMA foreign_keys=OFF")
    raw.cursor().execute("delete from photos")
    raw.cursor().execute("PRAGMA foreign_keys=ON")
    raw.close()
    bad = _bad(parts)
    assert answered in bad["answers"].detail
    assert "predictions" in bad["file"].detail


def test_an_idempotency_key_without_its_answer_or_claimed_for_ever_is_named(parts: Parts) -> None:
    send(parts, idempotency_key="lost")
    with parts.ledger.transaction() as session:
        session.execute(text("update idempotency_keys set prediction_id = 'nobody'"))
    assert "lost" in _bad(parts)["idempotency"].detail
    with parts.ledger.transaction() as session:
        session.execute(text("delete from idempotency_keys"))
        row = idempotency.claim(session, "open", "stuck", fingerprint="f", token="t", lease=timedelta(seconds=20))
        row.claimed_at = now() - timedelta(hours=3)
    stuck = _bad(parts)["idempotency"]
    assert "stuck" in stuck.detail
    assert "leafloop db sweep" in stuck.mend


def test_a_missing_entry_of_the_audit_log_is_noticed(parts: Parts) -> None:
    with parts.ledger.transaction() as session:
        session.execute(text("delete from audit_log where id = 1"))
    assert "1 entries" in _bad(parts)["history"].detail


def test_an_object_that_no_row_names_is_a_note_and_an_old_draft_a_finding(parts: Parts) -> None:
    parts.blobs.put(b"left over")
    path = _object(parts, parts.blobs.put(b"another"))
    draft = path.with_name(f".{path.name}.0badcafe.tmp")
    draft.write_bytes(b"half")
    findings = _findings(parts)
    assert findings["orphans"].ok
    assert "2 objects (16 bytes)" in findings["orphans"].detail
    assert findings["drafts"].ok  # it may be being written
    os.utime(draft, (time.time() - 3 * 3600,) * 2)
    assert draft.name in _bad(parts)["drafts"].detail


def test_a_store_that_is_away_is_a_finding_and_the_rest_is_looked_at(parts: Parts, tmp_path: Path) -> None:
    send(parts, picture())
    (parts.settings.home / "blobs").rename(tmp_path / "elsewhere")
    (parts.settings.home / "blobs").write_text("a file")
    bad = _bad(parts)
    assert "LEAFLOOP_BLOBS_URL" in bad["photos"].detail
    assert "leafloop doctor" in bad["photos"].mend
    assert "history" not in bad


def _snapshot(parts: Parts) -> tuple[str, str]:
    """A snapshot of labels with real objects: its hash, and a part of its manifest."""
    labels = Labelled(parts.ledger, parts.blobs)
    for number in range(4):
        labels.add(f"p{number}", stored=parts.blobs.put(picture(form="PNG") + bytes([number])))
    made = labels.make()
    return made.hash, manifest.read_header(parts.blobs, made.hash)["parts"][0]["sha256"]


def test_a_snapshots_rotten_part_and_lost_manifest_are_named(parts: Parts) -> None:
    made, part = _snapshot(parts)
    assert _bad(parts) == {}
    _half(_object(parts, part))
    assert part in _bad(parts)["snapshots"].detail
    _object(parts, made).unlink()
    bad = _bad(parts)
    assert set(bad) == {"snapshots"}
    assert f"{made} (missing" in bad["snapshots"].detail
    assert "backup" in bad["snapshots"].mend


def test_a_photo_that_only_a_label_or_a_snapshot_names_is_looked_at_and_an_erased_one_is_not_missed(
    parts: Parts,
) -> None:
    _snapshot(parts)
    with parts.ledger.transaction() as session:
        photo = session.scalars(select(Photo)).first()
        assert photo is not None
        key, sha256 = photo.stored_sha256, photo.sha256
        session.delete(photo)
    _half(_object(parts, key))
    assert key in _bad(parts)["labels"].detail
    with parts.ledger.transaction() as session:
        session.execute(text("delete from training_data where image_hash = :hash").bindparams(hash=sha256))
    assert key in _bad(parts)["snapshots"].detail
    with parts.ledger.transaction() as session:
        session.add(Tombstone(image_hash=sha256, stored_sha256=key, reason="asked", actor="test"))
    assert _bad(parts) == {}
