"""How Alembic moves the schema: on the connection that `Ledger` hands in, all or nothing, one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.util.exc import CommandError
from sqlalchemy import JSON, Connection, text

from leafloop.storage.tables import Base, UtcDateTime

ONE_AT_A_TIME = 5_283_190_427  # any number, as long as every Leafloop takes the same lock


@contextmanager
def _turn(connection: Connection) -> Iterator[None]:
    """Nobody else migrates meanwhile. Begun before the version is read, so that the second of two sees what the first one did."""
    with _turn_on_postgresql(connection) if connection.dialect.name == "postgresql" else _turn_on_sqlite(connection):
        yield


@contextmanager
def _turn_on_postgresql(connection: Connection) -> Iterator[None]:
    """The lock is the connection's, not a transaction's: a script may commit in between (`autocommit_block`)."""
    connection.execute(text("SET statement_timeout = '10min'"))  # a rewrite of a large table may take that
    # A lock that old code holds must not stop the service behind it for ever.
    connection.execute(text("SET lock_timeout = '30s'"))
    connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": ONE_AT_A_TIME})
    connection.commit()
    yield


@contextmanager
def _turn_on_sqlite(connection: Connection) -> Iterator[None]:
    """One transaction, begun IMMEDIATE, around all scripts: Alembic would end it after each one.

    SQLite changes a table by making a new one and dropping the old one, and a drop deletes what refers to its rows: a changed
    column of `predictions` would take all feedback with it. So references are checked at the end; the pragma works only outside
    a transaction.
    """
    raw = connection.connection.driver_connection
    assert raw is not None
    raw.execute("PRAGMA foreign_keys=OFF")
    with connection.begin():
        yield
        lost = {row[0] for row in connection.exec_driver_sql("PRAGMA foreign_key_check")}
        if lost:
            raise CommandError(f"it would leave rows of {', '.join(sorted(lost))} that refer to nothing")


def _plain_types(kind: str, thing: object, draft: AutogenContext) -> str | Literal[False]:
    """How our own column types are written into a migration: as what the database has, so that it never changes with the code."""
    if kind == "type" and isinstance(thing, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(thing, JSON):
        draft.imports.add("from sqlalchemy.dialects import postgresql")
        return "sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')"
    return False


def _run(connection: Connection) -> None:
    try:
        with _turn(connection):
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                render_as_batch=True,
                compare_type=True,
                compare_server_default=True,
                render_item=_plain_types,
            )
            with context.begin_transaction():
                context.run_migrations()
    finally:
        connection.invalidate()  # closed, and with it go the lock and the settings


_run(context.config.attributes["connection"])
