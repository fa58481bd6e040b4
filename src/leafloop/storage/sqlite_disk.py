"""What SQLite's "disk I/O error" means, and that its files are opened anew after one. Knows no table.

SQLite keeps the system's own word to itself, so a small file is written beside the database, which brings it out again. A file
whose sync failed is not synced again: the kernel forgets such a failure after telling it once, and would then say yes to bytes that
are lost.
"""

from __future__ import annotations

import resource
import sqlite3
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine, ExceptionContext, event

from leafloop.errors import LeafloopError, StorageError, StorageFull
from leafloop.storage import durable


def watch(*engines: Engine) -> None:
    """From now on an I/O error closes every connection of these engines of one file, and is raised as the error that it is."""
    folder = Path(engines[0].url.database or ".").parent

    def translate(context: ExceptionContext) -> BaseException | None:
        error = context.original_exception
        if not isinstance(error, sqlite3.Error) or getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_IOERR:
            return None
        context.is_disconnect = True
        for engine in engines:
            if context.engine is None or engine.pool is not context.engine.pool:  # its own is closed by SQLAlchemy
                engine.dispose()
        return _meaning(error, folder)

    for engine in engines:
        event.listen(engine, "handle_error", translate, retval=True)


def _meaning(error: sqlite3.Error, folder: Path) -> LeafloopError:
    probe = folder / ".leafloop-probe"
    try:
        durable.write_file(probe, b"leafloop")
    except OSError as reason:
        return durable.meaning(reason, "the database", "LEAFLOOP_DATABASE_URL or LEAFLOOP_HOME")
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    if error.sqlite_errorcode == sqlite3.SQLITE_IOERR_WRITE and _is_limited():
        return StorageFull(
            "A file of the database has come to the size that its process may write (ulimit -f, LimitFSIZE). Raise the limit."
        )
    return StorageError(
        f"The disk of the database failed ({error.sqlite_errorname}). Nothing was acknowledged: send it again in a moment."
    )


def _is_limited() -> bool:
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
