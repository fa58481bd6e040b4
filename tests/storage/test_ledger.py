"""The ledger: one transaction a request, errors in our words, and a database that keeps what it said."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from tests.servers import PostgresServer, free_port

from leafloop.errors import (
    ConfigurationInvalid,
    DatabaseBusy,
    DatabaseUnavailable,
    ReadOnly,
    RequestInvalid,
    SchemaUnknown,
    StorageFull,
)
from leafloop.storage import audit, keys
from leafloop.storage.ledger import OVERFLOW, POOL, POOL_WAIT_S, WRITERS, Ledger


def _add(ledger: Ledger, key_id: str) -> None:
    with ledger.transaction() as session:
        keys.create(session, id=key_id, role="field", label="", secret_sha256="0" * 64)


def _ids(ledger: Ledger) -> set[str]:
    with ledger.reading() as session:
        return {row.id for row in keys.list_all(session)}


def test_a_transaction_is_kept_whole_or_not_at_all(ledger: Ledger) -> None:
    _add(ledger, "aaaaaaaa")
    with pytest.raises(RuntimeError), ledger.transaction() as session:
        keys.create(session, id="bbbbbbbb", role="field", label="", secret_sha256="0" * 64)
        session.flush()
        raise RuntimeError
    assert _ids(ledger) == {"aaaaaaaa"}


def test_moments_come_back_in_utc(ledger: Ledger) -> None:
    _add(ledger, "aaaaaaaa")
    with ledger.reading() as session:
        (row,) = keys.list_all(session)
    assert row.created_at.tzinfo is not None
    assert row.created_at.utcoffset() is not None
    assert abs(row.created_at.timestamp() - time.time()) < 60


def test_a_moment_without_a_zone_is_refused(ledger: Ledger) -> None:
    from datetime import datetime

    from sqlalchemy.exc import StatementError

    with pytest.raises(StatementError, match="time zone"), ledger.transaction() as session:
        keys.create(session, id="aaaaaaaa", role="field", label="", secret_sha256="0" * 64).created_at = datetime(
            2026, 1, 1
        )


def test_sqlite_keeps_a_commit_through_a_power_cut(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'a.db'}")
    with ledger.reading() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    ledger.close()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_a_locked_sqlite_is_busy_for_writers_and_open_for_readers(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'a.db'}")
    ledger.upgrade()
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    assert _ids(ledger) == set()
    assert time.monotonic() - began < 1
    with pytest.raises(DatabaseBusy):
        _add(ledger, "aaaaaaaa")
    assert 4 < time.monotonic() - began < 20  # 5 s for the lock; not for ever
    other.execute("ROLLBACK")
    other.close()
    _add(ledger, "aaaaaaaa")
    ledger.close()


def test_without_a_free_connection_of_ours_a_request_waits_a_little_and_is_refused_by_name(ledger: Ledger) -> None:
    with ExitStack() as held:
        for _ in range(POOL + OVERFLOW):
            held.enter_context(ledger.reading()).execute(text("SELECT 1"))
        assert REGISTRY.get_sample_value("leafloop_database_connections_in_use") == POOL + OVERFLOW
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="connections to the database are taken"):
            _ids(ledger)
        assert POOL_WAIT_S - 0.5 < time.monotonic() - began < POOL_WAIT_S + 8
    assert REGISTRY.get_sample_value("leafloop_database_connections_in_use") == 0
    assert _ids(ledger) == set()


def test_writers_who_wait_leave_connections_to_readers_and_the_one_too_many_is_refused(
    ledger: Ledger, database_url: str
) -> None:
    others = Ledger(database_url)
    with others.transaction() as session, ThreadPoolExecutor(WRITERS) as crowd:
        keys.create(session, id="aaaaaaaa", role="field", label="", secret_sha256="0" * 64)
        session.flush()
        waiting = [crowd.submit(_add, ledger, "aaaaaaaa") for _ in range(WRITERS)]
        time.sleep(0.5)
        with pytest.raises(DatabaseUnavailable, match="connections to the database are taken"):
            _add(ledger, "bbbbbbbb")
        assert _ids(ledger) == set()
        assert {type(writer.exception(30)) for writer in waiting} == {DatabaseBusy}
        with pytest.raises(DatabaseBusy):
            ledger.check_writes()
    ledger.write_again()
    ledger.check_writes()
    others.close()


def test_writers_at_once_all_get_their_turn(ledger: Ledger) -> None:
    names = [f"{i:08d}" for i in range(24)]
    threads = [threading.Thread(target=_add, args=(ledger, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert _ids(ledger) == set(names)


def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"this is not a database, and long enough to be looked at" * 100)
    with pytest.raises(DatabaseUnavailable, match="damaged"):
        Ledger(f"sqlite:///{tmp_path / 'a.db'}").check()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReadOnly, match="cannot be opened"):
        Ledger(f"sqlite:///{tmp_path / 'absent' / 'a.db'}").check()


def test_a_server_that_is_not_there_is_unavailable_without_its_password() -> None:
    ledger = Ledger(f"postgresql+psycopg://leafloop:hunter2@127.0.0.1:{free_port()}/leafloop")
    with pytest.raises(DatabaseUnavailable) as refused:
        ledger.check()
    assert "hunter2" not in refused.value.detail


def test_a_server_that_comes_back_is_used_again_without_a_restart(postgres: PostgresServer, postgres_url: str) -> None:
    ledger = Ledger(postgres_url)
    ledger.upgrade()
    _add(ledger, "aaaaaaaa")
    postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leafloop'")
    assert _ids(ledger) == {"aaaaaaaa"}
    ledger.close()


def test_a_lock_held_by_another_is_busy_on_postgresql(postgres_url: str) -> None:
    ledger, other = Ledger(postgres_url), Ledger(postgres_url)
    ledger.upgrade()
    with other.transaction() as session:
        session.execute(text("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(DatabaseBusy):
            _add(ledger, "aaaaaaaa")
    ledger.close()
    other.close()


def test_a_frozen_server_is_unavailable_in_seconds_and_used_again_when_it_thaws(
    postgres: PostgresServer, postgres_url: str
) -> None:
    ledger = Ledger(postgres_url)
    ledger.upgrade()
    _add(ledger, "aaaaaaaa")
    began = time.monotonic()
    with postgres.frozen(), pytest.raises(DatabaseUnavailable):
        _ids(ledger)
    assert time.monotonic() - began < 20
    assert _soon(lambda: _ids(ledger)) == {"aaaaaaaa"}
    ledger.close()


def test_while_a_frozen_server_is_known_to_be_away_nobody_waits_for_it(
    postgres: PostgresServer, postgres_url: str
) -> None:
    ledger = Ledger(postgres_url)
    ledger.upgrade()
    with postgres.frozen():
        waits = sorted(_refused_after(ledger) for _ in range(20))
    assert waits[15] < 0.5  # but for the first one, and for whoever tries again each second
    assert _soon(lambda: _ids(ledger)) == set()
    ledger.close()


def _refused_after(ledger: Ledger) -> float:
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        _ids(ledger)
    return time.monotonic() - began


def _soon(look: Callable[[], set[str]], within: float = 10) -> set[str]:
    """What `look` says as soon as the database answers again."""
    end = time.monotonic() + within
    while True:
        try:
            return look()
        except DatabaseUnavailable:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_a_full_disk_is_said_and_what_was_kept_stays(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'a.db'}")
    ledger.upgrade()
    _add(ledger, "aaaaaaaa")
    with pytest.raises(StorageFull), ledger.transaction() as session:
        pages = session.execute(text("PRAGMA page_count")).scalar()
        session.execute(text(f"PRAGMA max_page_count={pages}"))
        for i in range(1000):
            audit.record(session, actor="cli", action="fill", subject=str(i), reason="x" * 1000)
            session.flush()
    assert _ids(ledger) == {"aaaaaaaa"}
    ledger.close()


def test_a_database_that_takes_no_writes_is_said(ledger: Ledger) -> None:
    refuse = "PRAGMA query_only=ON" if ledger.is_embedded else "SET TRANSACTION READ ONLY"
    with pytest.raises(ReadOnly), ledger.transaction() as session:
        session.execute(text(refuse))
        keys.create(session, id="aaaaaaaa", role="field", label="", secret_sha256="0" * 64)


def test_a_column_that_is_not_there_is_an_unknown_schema(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        session.execute(text("ALTER TABLE api_keys DROP COLUMN label"))
    for call in (lambda: _ids(ledger), lambda: _add(ledger, "aaaaaaaa")):
        with pytest.raises(SchemaUnknown):
            call()


def test_a_statement_that_is_wrong_is_our_fault_and_no_reason_to_try_again(ledger: Ledger) -> None:
    with pytest.raises(DBAPIError), ledger.reading() as session:
        session.execute(text("SELEC 1"))


def test_a_broken_constraint_is_for_the_caller_to_judge(ledger: Ledger) -> None:
    _add(ledger, "aaaaaaaa")
    with pytest.raises(IntegrityError):
        _add(ledger, "aaaaaaaa")


def test_a_value_that_postgresql_cannot_hold_is_the_senders_fault(postgres_url: str) -> None:
    ledger = Ledger(postgres_url)
    ledger.upgrade()
    for label in ("with a \x00", "x" * 201):
        with pytest.raises(RequestInvalid), ledger.transaction() as session:
            keys.create(session, id="aaaaaaaa", role="field", label=label, secret_sha256="0" * 64)
    ledger.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "postgresql+nothing://x/y"])
def test_an_unknown_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="LEAFLOOP_DATABASE_URL"):
        Ledger(url)


def test_tables_that_are_not_there_are_an_unknown_schema(database_url: str) -> None:
    ledger = Ledger(database_url)
    for call in (ledger.check, lambda: _ids(ledger)):
        with pytest.raises(SchemaUnknown, match="leafloop db upgrade"):
            call()
    ledger.close()


def test_the_audit_log_has_who_what_when_and_why(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        audit.record(session, actor="cli", action="promote", subject="2", reason="better", detail={"previous": "1"})
    with ledger.reading() as session:
        (entry,) = audit.latest(session)
        assert (entry.actor, entry.action, entry.subject, entry.reason, entry.detail) == (
            "cli",
            "promote",
            "2",
            "better",
            {"previous": "1"},
        )
        assert audit.happened(session, action="promote", subject="2")
        assert not audit.happened(session, action="promote", subject="3")
