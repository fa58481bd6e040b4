"""The whole of "answered and kept": a photo and its answer are stored, then said. Knows neither HTTP nor how a leaf is judged.

    checked -> (the same request answered before? that answer) -> a place -> decode -> judge, one photo at a time
            -> the photo's bytes safe in the object store -> its rows committed -> said

In this order nothing that was said can be lost, and a stop at any point leaves at most an object that no row names.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from leafloop import metrics
from leafloop.errors import Overloaded, PhotoError
from leafloop.live import erasing, rows
from leafloop.live.body import debug_body, predict_body
from leafloop.live.once import Claim, answer_once
from leafloop.live.serving import CHAMPION, Live, Serving
from leafloop.live.submission import Sender, Submission, checked
from leafloop.storage.blobs import BlobStore
from leafloop.storage.ledger import Ledger
from leafloop.vision.detector import FLOOR
from leafloop.vision.photo import Photo, PhotoLimits, read_upload
from leafloop.vision.reader import Reading

__all__ = ["Answering", "Sender", "Submission"]

Body = dict[str, Any]


class Answering:
    """Answers photos, from many threads at once. At most `max_waiting` are under way; one more is `Overloaded` at once."""

    def __init__(
        self, ledger: Ledger, blobs: BlobStore, serving: Serving, limits: PhotoLimits, max_waiting: int
    ) -> None:
        self._ledger, self._blobs, self._serving, self._limits = ledger, blobs, serving, limits
        self._places = _Places(max_waiting)
        self._turn = threading.Lock()  # one photo has all cores for its tiles; meanwhile others decode and are stored

    def answer(self, submission: Submission, sender: Sender) -> Body:
        """The body of `POST /predict`. A photo that is refused leaves no trace.

        Raises a `PhotoError`, `RequestInvalid`, `IdempotencyConflict`, `Overloaded`, `ModelUnavailable`, and the other
        `Unavailable` errors: then nothing was acknowledged, and the same request may be sent again.
        """
        sent = checked(submission, sender)
        if sent.idempotency_key is None:
            return self._answer(sent, sender, None)
        return answer_once(
            self._ledger,
            sender.scope,
            sent.idempotency_key,
            sent.fingerprint,
            lambda claim: self._answer(sent, sender, claim),
            may_begin=self._places.refuse_when_full,
        )

    def debug(self, data: bytes) -> Body:
        """Everything that the model sees, down to its floor. Stores nothing. Raises what `answer` raises."""
        with self._places.one():
            photo, _ = self._decode(data)
            live, reading = self._judge(photo, floor=FLOOR)
        return debug_body(live, reading)

    def _answer(self, sent: Submission, sender: Sender, claim: Claim | None) -> Body:
        with self._places.one():
            began = time.perf_counter()
            photo, decode_ms = self._decode(sent.data)
            live, reading = self._judge(photo)
            store_ms = self._store(photo)
            timings = {"decode": decode_ms, **reading.timings_ms, "store": store_ms, "total": _ms_since(began)}
            body = predict_body(live, photo, reading, sent.user_id, timings)
            with self._ledger.transaction() as session:
                erasing.keep_object(session, self._blobs, photo.kept.data, photo.kept.sha256)
                rows.record(session, sent, sender, photo, live, reading, body)
                if claim is not None:
                    claim.finish(session, body, body["prediction_id"])
        metrics.PREDICTIONS.labels(model_version=live.version, role=CHAMPION, verdict=body["outcome"]).inc()
        return body

    def _decode(self, data: bytes) -> tuple[Photo, float]:
        began = time.perf_counter()
        try:
            return read_upload(data, self._limits), _ms_since(began)
        except PhotoError as error:
            metrics.REJECTED.labels(code=error.code).inc()
            raise
        finally:
            metrics.STAGE_SECONDS.labels(stage="decode").observe(time.perf_counter() - began)

    def _judge(self, photo: Photo, *, floor: float | None = None) -> tuple[Live, Reading]:
        """The reading, and the one model that it is by: which is live is asked when the photo's turn comes, and only once."""
        queued = time.perf_counter()
        with self._turn:
            metrics.QUEUE_SECONDS.observe(time.perf_counter() - queued)
            live = self._serving.current()
            reading = live.reader.read(photo.pixels, floor=floor)
        for stage, ms in reading.timings_ms.items():
            metrics.STAGE_SECONDS.labels(stage=stage).observe(ms / 1000)
        return live, reading

    def _store(self, photo: Photo) -> float:
        began = time.perf_counter()
        self._blobs.put(photo.kept.data)
        metrics.STAGE_SECONDS.labels(stage="store").observe(time.perf_counter() - began)
        return _ms_since(began)


class _Places:
    """How many photos may be under way. One more is refused, not queued: its sender's retry comes at a better time."""

    def __init__(self, count: int) -> None:
        self._free, self._lock = count, threading.Lock()

    def refuse_when_full(self) -> None:
        if self._free <= 0:
            raise Overloaded

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._lock:
            self.refuse_when_full()
            self._free -= 1
        try:
            yield
        finally:
            with self._lock:
                self._free += 1


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
