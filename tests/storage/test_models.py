"""Versions of the model, and the pointer that says which one answers."""

from __future__ import annotations

import threading

from leafloop.storage import models
from leafloop.storage.ledger import Ledger


def _add(ledger: Ledger, bundle_hash: str) -> str:
    with ledger.transaction() as session:
        manifest = {"name": "tiny", "licence": "Apache-2.0"}
        return models.add_version(session, bundle_hash=bundle_hash, manifest=manifest, source="test").version


def _move(ledger: Ledger, version: str, expected: int) -> bool:
    with ledger.transaction() as session:
        return models.move_pointer(session, "champion", version, expected=expected, actor="cli", reason="test")


def test_versions_count_up_past_nine(ledger: Ledger) -> None:
    assert [_add(ledger, f"{i:064d}") for i in range(11)] == [str(i) for i in range(1, 12)]
    with ledger.reading() as session:
        assert [model.version for model, _ in models.list_all(session)][:2] == ["11", "10"]
        assert models.count(session) == 11


def test_a_version_is_found_by_its_number_and_by_its_bundle(ledger: Ledger) -> None:
    version = _add(ledger, "a" * 64)
    with ledger.reading() as session:
        found = models.get(session, version)
        assert found is not None
        assert found is models.by_hash(session, "a" * 64)
        assert models.by_hash(session, "b" * 64) is None


def test_the_pointer_moves_only_from_where_it_was_seen(ledger: Ledger) -> None:
    one, two = _add(ledger, "a" * 64), _add(ledger, "b" * 64)
    assert _move(ledger, one, expected=0)
    assert not _move(ledger, two, expected=0)
    assert _move(ledger, two, expected=1)
    assert not _move(ledger, one, expected=1)
    with ledger.reading() as session:
        pointer = models.pointer(session, "champion")
        assert pointer is not None
        assert (pointer.version, pointer.previous_version, pointer.pointer_version) == (two, one, 2)
        assert {model.version: aliases for model, aliases in models.list_all(session)} == {
            two: ["champion"],
            one: ["previous"],
        }


def test_of_two_operators_at_once_one_wins(ledger: Ledger) -> None:
    one, two = _add(ledger, "a" * 64), _add(ledger, "b" * 64)
    _move(ledger, one, expected=0)
    won: list[bool] = []
    threads = [threading.Thread(target=lambda: won.append(_move(ledger, two, expected=1))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(won) == [False, False, False, True]
