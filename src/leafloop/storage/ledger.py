"""The database: opened, checked, moved up and down, and entered by one transaction at a time. Knows no table's meaning.

SQLite runs in WAL with synchronous=FULL: with less, a power cut takes the last commits (measured; docs/ARCHITECTURE.md).
A driver's errors are translated here, once.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, exc, inspect, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from leafloop import metrics
from leafloop.errors import (
    ConfigurationInvalid,
    DatabaseBusy,
    DatabaseUnavailable,
    LeafloopError,
    ReadOnly,
    RequestInvalid,
    SchemaUnknown,
    StorageFull,
    Unavailable,
)
from leafloop.storage import sqlite_disk
from leafloop.storage.breaker import Breaker
from leafloop.storage.patience import PatientConnection

MIGRATIONS = Path(__file__).parent / "migrations"
WAIT_S = 5  # for a lock or a statement: half of the 10 s in which a photo is answered
MARGIN_S = 1  # so that the server's word, which says what was the matter, comes before our losing patience
# Connections of a process: those who write at once are fewer, so that writers who wait for a lock leave room for who reads; and
# fewer than the service's threads (`crossing`), for the same reason. SQLite writes one at a time anyway.
POOL, OVERFLOW = 10, 10
WRITERS = 12
POOL_WAIT_S = 2  # for one of them: they are held for milliseconds, so whoever waits longer had better come again
# An old connection is asked whether it still works, else a new one is made. Together 5 s: a frozen server holds nobody longer.
PING_S, CONNECT_S = 2, 3

_ALL_TAKEN = "All connections to the database are taken. Send the request again in a moment."

# Alembic keeps the migration under way in a global; between processes the database settles it.
_ONE_AT_A_TIME = threading.Lock()


class Ledger:
    """A database by its URL. Opening it connects to nothing; every method may raise `DatabaseUnavailable` or `DatabaseBusy`."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        # SQLite's connections cost a server nothing, so that readers have their own.
        readers = _engine(url) if self.is_embedded else self._engine
        self._readers = readers.execution_options(read_only=True)
        self._turns = threading.BoundedSemaphore(WRITERS)
        self._refused: LeafloopError | None = None  # what the last write was refused with; None: it went well
        pools = {readers, self._engine}
        metrics.DATABASE_CONNECTIONS.set_function(lambda: sum(cast(QueuePool, e.pool).checkedout() for e in pools))
        if self.is_embedded:
            sqlite_disk.watch(*pools)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @property
    def is_embedded(self) -> bool:
        """Whether the database is a file of this machine's own, so that a service may set it up by itself."""
        return self.dialect == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One request or one step: committed at the end, and nothing of it is kept when anything is raised."""
        with (
            self._turn(),
            self._remembering(),
            translated(),
            self._session(self._engine) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One of the places for writers. While writes are refused nobody waits for one: who has one waits for the lock already."""
        last = self._refused
        if not self._turns.acquire(timeout=0 if last else POOL_WAIT_S):
            raise type(last)(last.detail) if last else DatabaseUnavailable(_ALL_TAKEN)
        try:
            yield
        finally:
            self._turns.release()

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        """What a write was refused with by the database. What else ends a transaction says nothing of the database."""
        try:
            yield
        except Unavailable as error:
            if isinstance(error.__cause__, exc.DBAPIError | sqlite3.Error):
                self._refused = type(error)(error.detail)  # without its traceback, which holds a photo
            raise
        self._refused = None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A look at one state of the database, beside whoever writes. Nothing may be written in it."""
        with translated(), self._session(self._readers) as session, session.begin():
            yield session

    def _session(self, engine: Engine) -> Session:
        """It knows its ledger: what is held in memory of a database is held once, not for readers and writers apart."""
        return Session(engine, expire_on_commit=False, info={"ledger": self})

    def close(self) -> None:
        """Close every connection."""
        self._readers.dispose()
        self._engine.dispose()

    # The schema

    def revision(self) -> str | None:
        """The schema that the database has; None: none yet."""
        with translated(), self._readers.connect() as connection:
            return _revision(connection)

    def newest_revision(self) -> str | None:
        """The schema that this version of the program knows."""
        return ScriptDirectory(str(MIGRATIONS)).get_current_head()

    def is_empty(self) -> bool:
        """Whether there is no table at all."""
        with translated(), self._readers.connect() as connection:
            return not inspect(connection).get_table_names()

    def check(self) -> None:
        """Raise `SchemaUnknown` unless the schema is the one that this version knows."""
        has, knows = self.revision(), self.newest_revision()
        if has != knows:
            raise SchemaUnknown(
                f"The database's schema is {has or 'not there yet'}, and this version needs {knows}. "
                "Run 'leafloop db upgrade'; if the schema is the newer one, install the version that made it."
            )

    def check_writes(self) -> None:
        """Raise what the last write was refused with. Waits for no lock: a read may go well where every write is refused."""
        last = self._refused
        if last is not None:
            raise type(last)(last.detail)

    def write_again(self) -> None:
        """If the last write was refused, try one, so that it is known when the database takes them again. May wait for a lock."""
        if self._refused is not None:
            with suppress(Unavailable):
                self.check_writable()

    def check_writable(self) -> None:
        """Raise `ReadOnly` where a row could not be changed: SQLite tells so only of a real statement."""
        with self.transaction() as session:
            session.execute(text("UPDATE alembic_version SET version_num = version_num"))

    def upgrade(self) -> None:
        """Bring the schema to the newest. Two at once: the second waits and finds it done."""
        self._migrate(command.upgrade, "head")

    def downgrade(self, revision: str) -> None:
        """Take the schema back to `revision` (`-1`: one step, `base`: nothing). Raises `SchemaUnknown` for an unknown one."""
        self._migrate(command.downgrade, revision)

    def _migrate(self, move: Any, revision: str) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with _ONE_AT_A_TIME, translated(), self._engine.connect() as connection:
            config.attributes["connection"] = connection
            raw = connection.connection.driver_connection
            if isinstance(raw, PatientConnection):
                raw.patience_s = None  # a large table takes its time; the connection is closed when it is done
            try:
                move(config, revision)
            except CommandError as error:
                raise SchemaUnknown(f"The schema cannot be moved to '{revision}': {error}.") from None


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _engine(url: str) -> Engine:
    try:
        if url.startswith("sqlite"):
            engine = create_engine(
                url, connect_args={"timeout": WAIT_S}, pool_size=POOL, max_overflow=OVERFLOW, pool_timeout=POOL_WAIT_S
            )
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        if url.startswith(("postgresql://", "postgres://")):  # the driver that is installed
            url = "postgresql+psycopg://" + url.split("://", 1)[1]
        options = f"-c statement_timeout={WAIT_S}s -c lock_timeout={WAIT_S}s -c idle_in_transaction_session_timeout=60s"
        connect = {"connect_timeout": CONNECT_S, "options": options, "application_name": "leafloop"}
        engine = create_engine(
            url,
            connect_args=connect,
            pool_pre_ping=True,
            pool_size=POOL,
            max_overflow=OVERFLOW,
            pool_timeout=POOL_WAIT_S,
        )
        _be_patient(engine)
        return engine
    except (exc.ArgumentError, exc.NoSuchModuleError, ModuleNotFoundError, TypeError):
        raise ConfigurationInvalid(
            "LEAFLOOP_DATABASE_URL is not a database that Leafloop knows. Write sqlite:///path/file.db or "
            "postgresql+psycopg://user:password@host/database.",
            variable="LEAFLOOP_DATABASE_URL",
        ) from None


def _be_patient(engine: Engine) -> None:
    """Wait for PostgreSQL as long as what is asked of it may take; and not at all while it takes no connection."""
    breaker = Breaker("database", psycopg.OperationalError)

    def connect(_dialect: object, _record: object, places: Any, names: Any) -> PatientConnection:
        with breaker.attempt():
            connection = PatientConnection.connect(*places, **names)
        working(connection)
        return connection

    def working(connection: PatientConnection, *_: object) -> None:
        connection.patience_s = WAIT_S + MARGIN_S

    def resting(connection: PatientConnection | None, _record: object) -> None:
        if connection is not None:  # else it broke
            connection.patience_s = PING_S

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "checkout", working)
    event.listen(engine, "checkin", resting)


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin_sqlite`, not guessed by the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={WAIT_S * 1000}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its lock at once: one that read first and wants to write later cannot wait, it can only fail."""
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


@contextmanager
def translated() -> Iterator[None]:
    """Turn a driver's errors into ours. A broken constraint stays what it is: only the caller knows what it means. So does a
    statement that no database would take: it is a fault of ours, and no sender should be told to try again."""
    try:
        yield
    except exc.IntegrityError:
        raise
    except exc.TimeoutError:
        raise DatabaseUnavailable(_ALL_TAKEN) from None
    except exc.DBAPIError as error:
        ours = _from_sqlite(error.orig) if isinstance(error.orig, sqlite3.Error) else _from_postgresql(error)
        if ours is None:
            raise
        raise ours from error


# PostgreSQL's codes (its manual, appendix A).
_STATES: dict[str, type[LeafloopError]] = {
    "55P03": DatabaseBusy,  # lock_not_available
    "57014": DatabaseBusy,  # query_canceled: our statement time-out
    "40001": DatabaseBusy,  # serialization_failure
    "40P01": DatabaseBusy,  # deadlock_detected
    "53100": StorageFull,  # disk_full
    "25006": ReadOnly,  # read_only_sql_transaction
    "42P01": SchemaUnknown,  # undefined_table
    "42703": SchemaUnknown,  # undefined_column
}


def _from_postgresql(error: exc.DBAPIError) -> LeafloopError | None:
    known = _STATES.get(str(getattr(error.orig, "sqlstate", None) or ""))
    if known is not None:
        return known()
    if isinstance(error, exc.DataError):
        return RequestInvalid("A value is longer, larger or other than the database can hold.")
    if isinstance(error, exc.ProgrammingError | exc.NotSupportedError):
        return None
    reason = " ".join(str(error.orig).split())[:300]  # host, port, database and user, for the log: never the password
    return DatabaseUnavailable(
        f"The database does not answer ({reason}). Nothing was acknowledged: send it again in a moment."
    )


def _from_sqlite(error: sqlite3.Error) -> LeafloopError | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code; extended ones carry more in the upper bits
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseBusy()
    if code == sqlite3.SQLITE_FULL:
        return StorageFull("The disk of the database is full, so nothing new is taken. An operator has to make room.")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return ReadOnly(
            f"The database file cannot be opened for writing ({error}). Check its folder and its permissions."
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DatabaseUnavailable(f"The database file is damaged ({error}). Restore it from a backup.")
    if "no such table" in str(error) or "no such column" in str(error) or "has no column named" in str(error):
        return SchemaUnknown()
    if isinstance(error, sqlite3.ProgrammingError) or code == sqlite3.SQLITE_ERROR:
        return None
    return DatabaseUnavailable(
        f"The database did not take it ({error}). Nothing was acknowledged: send it again in a moment."
    )
