"""A connection to PostgreSQL that does not wait for ever. Knows no statement.

The server's own time-outs end a statement that is slow. A server that is frozen, or cut off behind a firewall, ends nothing, and
psycopg would wait until somebody mends it, with every request behind it.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg


class PatientConnection(psycopg.Connection[Any]):
    """Closed, with `psycopg.OperationalError`, when the server says nothing for `patience_s` seconds (None: waits for ever)."""

    patience_s: float | None = None

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
        if self.patience_s is None:
            return super().wait(gen, *args, **options)
        return super().wait(self._while_patient(gen, time.monotonic() + self.patience_s), *args, **options)

    def _while_patient(self, gen: Generator[Any, Any, Any], end: float) -> Generator[Any, Any, Any]:
        """`gen`, which is resumed every tenth of a second also when nothing has come."""
        try:
            wanted = next(gen)
        except StopIteration as finished:
            return finished.value
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > end:
                self.pgconn.finish()  # its answer may still come, and must not be taken for that of the next statement
                raise psycopg.OperationalError("the server has not answered in time")
            try:
                wanted = gen.send(ready)
            except StopIteration as finished:
                return finished.value
