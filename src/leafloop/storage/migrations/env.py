"""How Alembic moves the schema: on the connection that `Ledger` hands in, in one transaction, one process at a time."""

from __future__ import annotations

from typing import Literal

from alembic import context
from sqlalchemy import Connection, text

from leafloop.storage.tables import Base, UtcDateTime

ONE_AT_A_TIME = 5_283_190_427  # any number, as long as every Leafloop takes the same lock


def _take_turns(connection: Connection) -> None:
    """Wait for another migration, but not for ever: a lock that old code holds must not stop the service behind it."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = '10min'"))  # a rewrite of a large table may take that
        connection.execute(text("SET LOCAL lock_timeout = '30s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": ONE_AT_A_TIME})
    # SQLite: the transaction began IMMEDIATE, so the second process waits for the first one's commit.


def _plain_types(kind: str, thing: object, _context: object) -> str | Literal[False]:
    """How our own column types are written into a migration: as what the database has, so that it never changes with the code."""
    if kind == "type" and isinstance(thing, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        compare_server_default=True,
    )
    # begun before the version table is read: the second of two processes then sees what the first one did
    with connection.begin():
        _take_turns(connection)
        with context.begin_transaction():
            context.run_migrations()


_run(context.config.attributes["connection"])
