"""The whole of "answered and kept": a photo and its answer are stored, then said. Knows neither HTTP nor how a leaf is judged.

    checked -> (the same request answered before? that answer) -> a place -> decode, in a process apart -> judge
            -> the photo's bytes safe in the object store -> its rows committed -> said

In this order nothing that was said can be lost, and a stop at any point leaves at most an object that no row names.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from leafloop import metrics
from leafloop.errors import PhotoError
from leafloop.live import erasing, rows
from leafloop.live.admission import Admission, Hands
from leafloop.live.body import debug_body, predict_body
from leafloop.live.once import Claim, answer_once
from leafloop.live.serving import CHAMPION, Live, Serving
from leafloop.live.submission import Sender, Submission, checked, coarse
from leafloop.storage.blobs import BlobStore
from leafloop.storage.ledger import Ledger
from leafloop.vision.decoders import Decoders
from leafloop.vision.detector import FLOOR
from leafloop.vision.photo import Photo
from leafloop.vision.reader import Reading

__all__ = ["Answering", "Sender", "Submission"]

Body = dict[str, Any]


class Answering:
    """Answers photos, from many threads at once. Of more than can be answered in time, one more is `Overloaded` at once."""

    def __init__(
        self,
        ledger: Ledger,
        blobs: BlobStore,
        serving: Serving,
        decoders: Decoders,
        max_waiting: int,
        *,
        review_random_share: float = 0.0,
        location_decimals: int = 2,  # as in `settings`: who forgets it keeps no farm's door
    ) -> None:
        self._location_decimals = location_decimals
        self._ledger, self._blobs, self._serving, self._decoders = ledger, blobs, serving, decoders
        self._admission, self._hands = Admission(max_waiting), Hands()
        self._random_share = review_random_share

    def answer(self, submission: Submission, sender: Sender) -> Body:
        """The body of `POST /predict`. A photo that is refused leaves no trace.

        Raises a `PhotoError`, `RequestInvalid`, `IdempotencyConflict`, `Overloaded`, `ModelUnavailable`, and the other
        `Unavailable` errors: then nothing was acknowledged, and the same request may be sent again.
        """
        sent = checked(submission, sender)
        with _counting_refusals():
            pixels = self._decoders.check(sent.data)
        kept = coarse(sent, self._location_decimals)
        if sent.idempotency_key is None:
            return self._answer(kept, sender, pixels, None)
        return answer_once(
            self._ledger,
            sender.scope,
            sent.idempotency_key,
            sent.fingerprint,
            lambda claim: self._answer(kept, sender, pixels, claim),
            may_begin=lambda: self._may_begin(pixels),
        )

    def debug(self, data: bytes) -> Body:
        """Everything that the model sees, down to its floor. Stores nothing. Raises what `answer` raises."""
        with _counting_refusals():
            pixels = self._decoders.check(data)
        with self._admission.place(pixels):
            _, live, reading = self._read(data, pixels, floor=FLOOR)
        return debug_body(live, reading)

    def refuse_when_full(self) -> None:
        """Raise `Overloaded` if every photo would be refused now, also the smallest: then its bytes need not even be received."""
        self._admission.refuse_when_full()

    def _may_begin(self, pixels: int) -> None:
        """Raise what a photo of this size would be refused with, before any work is put into it."""
        self._blobs.refuse_when_away()
        self._admission.refuse_when_full(pixels)

    def _answer(self, sent: Submission, sender: Sender, pixels: int, claim: Claim | None) -> Body:
        self._blobs.refuse_when_away()  # a photo that cannot be kept needs no place
        with self._admission.place(pixels):
            began = time.perf_counter()
            photo, live, reading = self._read(sent.data, pixels)
            store_ms = self._store(photo)
            timings = {**reading.timings_ms, "store": store_ms, "total": _ms_since(began)}
            body = predict_body(live, photo, reading, sent.user_id, timings)
            with self._ledger.transaction() as session:
                erasing.keep_object(session, self._blobs, photo.kept.data, photo.kept.sha256)
                rows.record(session, sent, sender, photo, live, reading, body, random_share=self._random_share)
                if claim is not None:
                    claim.finish(session, body, body["prediction_id"])
        metrics.PREDICTIONS.labels(model_version=live.version, role=CHAMPION, verdict=body["outcome"]).inc()
        return body

    def _read(self, data: bytes, pixels: int, *, floor: float | None = None) -> tuple[Photo, Live, Reading]:
        """The photo without its pixels, its reading, and the one model that it is by: which is live is asked only once."""
        queued = time.perf_counter()
        with self._hands.hold(pixels):
            metrics.QUEUE_SECONDS.observe(time.perf_counter() - queued)
            photo, decode_ms = self._decode(data, pixels)
            live = self._serving.current()
            reading = live.reader.read(photo.pixels, floor=floor)
            reading.timings_ms["decode"] = decode_ms
        for stage, ms in reading.timings_ms.items():
            metrics.STAGE_SECONDS.labels(stage=stage).observe(ms / 1000)
        return photo.without_pixels(), live, reading

    def _decode(self, data: bytes, pixels: int) -> tuple[Photo, float]:
        began = time.perf_counter()
        with _counting_refusals():
            return self._decoders.read(data, pixels), _ms_since(began)

    def _store(self, photo: Photo) -> float:
        began = time.perf_counter()
        self._blobs.put(photo.kept.data)
        metrics.STAGE_SECONDS.labels(stage="store").observe(time.perf_counter() - began)
        return _ms_since(began)


@contextmanager
def _counting_refusals() -> Iterator[None]:
    try:
        yield
    except PhotoError as error:
        metrics.REJECTED.labels(code=error.code).inc()
        raise


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
