"""Leftovers are swept once they are old enough, and never anything that a row names or somebody is at work on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.learning.labelled import Labelled
from tests.live.conftest import kept, picture, send
from tests.servers import wait_until

from leafloop.learning import registry
from leafloop.live import erasing
from leafloop.live.parts import Parts, cache_of
from leafloop.live.sweeping import ORPHAN_AGE, Sweepable, Sweeper, Swept, sweep
from leafloop.storage import idempotency, snapshots
from leafloop.storage.tables import Tombstone, now
from leafloop.vision.bundle import Bundle
from leafloop.vision.kept import keep


@pytest.fixture
def place(parts: Parts) -> Sweepable:
    return Sweepable(parts.ledger, parts.blobs, cache_of(parts.settings))


def _aged(parts: Parts, by: timedelta) -> None:
    """Every object, as if it had been written so long ago."""
    then = time.time() - by.total_seconds()
    for path in (parts.settings.home / "blobs").glob("??/??/[0-9a-f]*"):
        with suppress(FileNotFoundError):  # it has just been removed
            os.utime(path, (then, then))


def test_an_object_that_no_row_names_goes_after_a_day_and_those_of_photos_and_models_stay(
    parts: Parts, place: Sweepable
) -> None:
    send(parts)
    parts.blobs.put(b"left over")
    _aged(parts, ORPHAN_AGE - timedelta(minutes=5))
    assert sweep(place).objects == 0
    _aged(parts, ORPHAN_AGE + timedelta(minutes=5))
    assert sweep(place, dry_run=True).objects == 1
    assert kept(parts) == (1, 1, 2)
    assert sweep(place).objects == 1
    assert kept(parts) == (1, 1, 1)
    assert sweep(place) == Swept(0, 0, 0)
    parts.serving.look()
    assert parts.serving.ready()[0]


def test_a_photo_that_is_sent_again_while_its_leftover_is_swept_keeps_its_object(
    parts: Parts, place: Sweepable
) -> None:
    """The sweeper and the sender, over and over, on the same bytes: never a row without its object."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def sweep_on() -> None:
        try:
            while not stop.is_set():
                _aged(parts, 2 * ORPHAN_AGE)
                sweep(place)
        except BaseException as error:
            failed.append(error)

    sweeping = threading.Thread(target=sweep_on)
    sweeping.start()
    try:
        for quality in range(70, 90):
            photo = picture(form="JPEG", quality=quality)
            parts.blobs.put(keep(photo).data)
            send(parts, photo)
    finally:
        stop.set()
        sweeping.join(30)
    assert failed == []
    with parts.ledger.reading() as session:
        stored = session.scalars(text("select stored_sha256 from photos")).all()
    assert len(set(stored)) == 20
    for key in stored:
        parts.blobs.get(key)


def test_files_of_a_model_that_are_swept_while_it_is_imported_are_put_back(
    parts: Parts, place: Sweepable, bgr: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_its_row = registry._hold_files

    def swept_first(*args: object) -> None:
        for name, facts in bgr.manifest.files.items():
            assert parts.blobs.has(facts.sha256), name
            parts.blobs.delete(facts.sha256)
        before_its_row(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(registry, "_hold_files", swept_first)
    registry.add_bundle(bgr, parts.ledger, parts.blobs, source="test", actor="test")
    for facts in bgr.manifest.files.values():
        parts.blobs.get(facts.sha256)


def test_a_photo_that_has_the_bytes_of_a_models_file_takes_nothing_of_the_model_with_it(parts: Parts) -> None:
    with parts.ledger.reading() as session:
        bundle_hash = str(session.scalar(text("select bundle_hash from models")))
    erasing.remove_objects(parts.ledger, parts.blobs, [bundle_hash])
    assert parts.blobs.has(bundle_hash)


def test_what_snapshots_and_labels_name_stays_until_it_is_erased_for_good(parts: Parts, place: Sweepable) -> None:
    labels = Labelled(parts.ledger, parts.blobs)
    hashes = [labels.add(f"p{n}", stored=parts.blobs.put(picture(form="PNG") + bytes([n]))) for n in range(4)]
    made = labels.make()
    with parts.ledger.reading() as session:
        named_by_it = {made.hash, *snapshots.newest(session)[0].parts}
        stored = session.scalar(text("select stored_sha256 from photos where sha256 = :h").bindparams(h=hashes[0]))
    _aged(parts, 2 * ORPHAN_AGE)
    assert sweep(place).objects == 0
    with parts.ledger.transaction() as session:
        session.execute(text("delete from photos"))
    assert sweep(place).objects == 0
    with parts.ledger.transaction() as session:
        session.execute(text("delete from training_data"))
    assert sweep(place).objects == 0
    with parts.ledger.transaction() as session:
        session.add(Tombstone(image_hash=hashes[0], stored_sha256=stored, reason="asked", actor="test"))
    assert sweep(place).objects == 1
    assert not parts.blobs.has(stored)
    assert all(parts.blobs.has(key) for key in named_by_it)
    erasing.remove_objects(parts.ledger, parts.blobs, sorted(named_by_it))
    assert all(parts.blobs.has(key) for key in named_by_it)


def test_drafts_and_bundles_half_unpacked_go_after_an_hour(parts: Parts, place: Sweepable) -> None:
    send(parts)
    path = next((parts.settings.home / "blobs").glob("??/??/*"))
    draft = path.with_name(f".{path.name}.0badcafe.tmp")
    draft.write_bytes(b"half")
    folder = cache_of(parts.settings) / ".fetch-abc"
    folder.mkdir()
    assert sweep(place).drafts == 0
    for left in (draft, folder):
        os.utime(left, (time.time() - 3700,) * 2)
    assert sweep(place, dry_run=True).drafts == 2
    assert sweep(place).drafts == 2
    assert not draft.exists()
    assert not folder.exists()


def test_idempotency_keys_are_kept_for_a_week_and_dead_claims_for_an_hour(parts: Parts, place: Sweepable) -> None:
    for key, age in (("old", timedelta(days=7, minutes=1)), ("young", timedelta(days=6, hours=23))):
        send(parts, idempotency_key=key)
        with parts.ledger.transaction() as session:
            moment = (now() - age).replace(tzinfo=None)
            session.execute(
                text("update idempotency_keys set created_at = :at where key = :key").bindparams(at=moment, key=key)
            )
    with parts.ledger.transaction() as session:
        for key, age in (("dead", timedelta(hours=2)), ("at work", timedelta(minutes=1))):
            row = idempotency.claim(session, "open", key, fingerprint="f", token="t", lease=timedelta(seconds=20))
            row.claimed_at = now() - age
    assert sweep(place, dry_run=True).keys == 2
    assert sweep(place).keys == 2
    with parts.ledger.reading() as session:
        assert set(session.scalars(text("select key from idempotency_keys"))) == {"young", "at work"}


@pytest.fixture
def sweeper(place: Sweepable) -> Iterator[Sweeper]:
    made = Sweeper(place, first_after_s=0.01)
    yield made
    made.close()


def test_the_service_sweeps_by_itself_and_a_failure_does_not_end_that(
    parts: Parts, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[None] = []

    def counted(*args: Any) -> Swept:
        swept.append(None)
        return sweep(*args)

    monkeypatch.setattr("leafloop.live.sweeping.SWEEP_EVERY", timedelta(seconds=0.01))
    monkeypatch.setattr("leafloop.live.sweeping.sweep", counted)
    away = parts.settings.home / "blobs-away"
    parts.blobs.put(b"left over")
    _aged(parts, 2 * ORPHAN_AGE)
    blobs = parts.settings.home / "blobs"
    blobs.rename(away)
    blobs.write_text("not a folder")
    sweeper.start()
    wait_until(lambda: len(swept) > 2, "the sweeper")
    blobs.unlink()
    away.rename(blobs)
    wait_until(lambda: kept(parts) == (0, 0, 0), "the sweep")


def test_one_sweep_after_another_beside_a_second_one_is_harmless(
    parts: Parts, place: Sweepable, tmp_path: Path
) -> None:
    for number in range(30):
        parts.blobs.put(bytes([number]))
    _aged(parts, 2 * ORPHAN_AGE)
    done: list[Swept] = []
    both = [threading.Thread(target=lambda: done.append(sweep(place))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(30)
    assert len(done) == 2
    assert kept(parts) == (0, 0, 0)
