"""Which model answers: follows the champion's row in the ledger, loads beside, tries out, then switches. Knows no photo.

The model that is replaced finishes what it holds, because each answer keeps the `Live` it began with, and it stays warm until
the next one is loaded: going back to it is a change of one name. A model that will not load leaves the old one answering.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from leafloop import log, metrics
from leafloop.errors import BundleRejected, LeafloopError, ModelUnavailable, Unavailable
from leafloop.storage import models
from leafloop.storage.ledger import Ledger
from leafloop.vision.reader import Reader

_log = log.get(__name__)

CHAMPION = "champion"
RETRY_S = (
    15.0  # a store that was away is asked again; short beside an outage, long beside the seconds that a load takes
)
STOP_S = 30.0  # a load under way at the end is waited for: a compiler stopped midway can take the process with it


@dataclass(frozen=True)
class Live:
    """A model that is loaded, warmed up and has passed its self-test."""

    version: str
    name: str
    bundle_hash: str
    reader: Reader


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the ledger names: the version, its bundle, and the pointer's own number, which grows with each move."""

    version: str
    name: str
    bundle_hash: str
    pointer_version: int


@dataclass(frozen=True, slots=True)
class _Failure:
    wanted: Wanted
    detail: str
    final: bool  # a bundle does not get better by itself; a store that was away comes back
    at: float

    def bars(self, wanted: Wanted) -> bool:
        same = self.wanted == wanted
        return same and (self.final or time.monotonic() - self.at < RETRY_S)


class Serving:
    """The model in force. `load` turns what the ledger names into a `Live`, or raises a `LeafloopError` that says why not."""

    def __init__(self, ledger: Ledger, load: Callable[[Wanted], Live], *, poll_seconds: float = 1.0) -> None:
        self._ledger, self._load, self._poll_seconds = ledger, load, poll_seconds
        self._live: Live | None = None
        self._previous: Live | None = None
        self._failure: _Failure | None = None
        self._blind: str | None = "The model is not loaded yet."  # why the last look, if any, could not read the ledger
        self._look = threading.Lock()  # one look, and so one load, at a time
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def current(self) -> Live:
        """The model that answers now; an answer uses this one object to its end. Raises `ModelUnavailable`, saying why.

        Without `start()` (the command line) the first call loads it.
        """
        if self._live is None and self._thread is None:
            self.look()
        live = self._live
        if live is None:
            raise ModelUnavailable(f"No model is loaded that could answer. {self._why_none()}")
        return live

    def start(self) -> None:
        """Load what the ledger names, if it can be, and follow it from now on."""
        self.look()
        self._thread = threading.Thread(target=self._follow, name="leafloop-serving", daemon=True)
        self._thread.start()

    def look_now(self) -> None:
        """Wake the follower: the pointer has just been moved here."""
        self._wake.set()

    def close(self) -> None:
        """Stop following; the model goes when its last answer is done."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
            self._thread = None

    def look(self) -> None:
        """Read the pointer once and switch if it names another model. Never raises for a model or a ledger that is not well."""
        with self._look:
            try:
                wanted = self._wanted()
            except Unavailable as error:
                self._blind = error.detail
                return
            self._blind = None
            if wanted is None or self._is(self._live, wanted):
                self._failure = None
            elif self._previous is not None and self._is(self._previous, wanted):
                self._switch(self._previous)
            elif self._failure is None or not self._failure.bars(wanted):
                self._try(wanted)

    def ready(self) -> tuple[bool, str]:
        """Whether an answer could be given now, and a sentence about it."""
        live, failure = self._live, self._failure
        if live is None:
            return False, self._why_none()
        if failure is not None:
            return True, f"Model {live.version} answers. Model {failure.wanted.version} was not taken: {failure.detail}"
        return True, f"Model {live.version} answers."

    def state(self) -> dict[str, Any]:
        """What answers, what stays warm, what the ledger wants, and what went wrong, as plain data."""
        failure = self._failure
        return {
            "live": _names(self._live),
            "previous": _names(self._previous),
            "failed": {"version": failure.wanted.version, "detail": failure.detail} if failure else None,
            "ledger": self._blind,
        }

    def _why_none(self) -> str:
        if self._failure is not None:
            return f"Model {self._failure.wanted.version} was not taken: {self._failure.detail}"
        return self._blind or "No model was promoted yet. Do it with 'leafloop models promote VERSION --reason WHY'."

    def _wanted(self) -> Wanted | None:
        with self._ledger.reading() as session:
            pointer = models.pointer(session, CHAMPION)
            model = models.get(session, pointer.version) if pointer else None
            if pointer is None or model is None:
                return None
            return Wanted(model.version, model.name, model.bundle_hash, pointer.pointer_version)

    @staticmethod
    def _is(live: Live | None, wanted: Wanted) -> bool:
        return live is not None and (live.version, live.bundle_hash) == (wanted.version, wanted.bundle_hash)

    def _try(self, wanted: Wanted) -> None:
        try:
            live = self._load(wanted)
        except LeafloopError as error:
            self._failed(wanted, error.detail, final=isinstance(error, BundleRejected))
        # Whatever else a native library raises on a model that it cannot take: the old model has to go on answering.
        except Exception as error:  # noqa: BLE001
            _log.exception("model could not be loaded", version=wanted.version)
            self._failed(wanted, f"it could not be loaded ({type(error).__name__})", final=False)
        else:
            self._switch(live)

    def _failed(self, wanted: Wanted, detail: str, *, final: bool) -> None:
        self._failure = _Failure(wanted, detail, final, time.monotonic())
        _log.error("model not taken", version=wanted.version, bundle=wanted.bundle_hash, detail=detail)

    def _switch(self, live: Live) -> None:
        self._previous, self._live, self._failure = self._live, live, None
        metrics.MODEL_INFO.clear()
        metrics.MODEL_INFO.labels(version=live.version, sha=live.bundle_hash).set(1)
        _log.info("model answers", version=live.version, bundle=live.bundle_hash)

    def _follow(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self._poll_seconds)
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                self.look()
            # A follower that dies would leave this replica behind for ever, and nobody would be told.
            except Exception:  # noqa: BLE001
                _log.exception("could not look which model is live")


def _names(live: Live | None) -> dict[str, str] | None:
    return {"version": live.version, "name": live.name, "bundle": live.bundle_hash} if live else None
