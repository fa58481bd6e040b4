"""A photo that comes in pieces over a line that breaks: each is safe before it is acknowledged, and the whole is answered once.

    begun -> piece -> piece -> ... -> whole -> answered by `live.answering` under the upload's own Idempotency-Key
                                            -> or refused for good; either way its pieces go

A stop at any point loses no piece that was acknowledged. Between the answer and the note of it here, the key brings the same answer
again. Knows no protocol (`leafloop.tus`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from leafloop import log
from leafloop.errors import (
    BlobCorrupt,
    BlobMissing,
    EmptyUpload,
    IdempotencyConflict,
    LeafloopError,
    NotFound,
    Overloaded,
    PhotoError,
    RequestInvalid,
    TooManyBytes,
    Unavailable,
    UploadConflict,
)
from leafloop.live import erasing
from leafloop.live.answering import Answering
from leafloop.live.once import UnderWay
from leafloop.live.submission import Sender, Submission, checked
from leafloop.storage import predictions, uploads
from leafloop.storage.blobs import BlobStore
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Upload, UploadPiece

_log = log.get(__name__)

Body = dict[str, Any]
PIECE_BYTES = 1024 * 1024  # a piece is held in memory, and lost when the line breaks: at 5 kB/s it takes three minutes
UPLOAD_AGE = timedelta(
    days=7
)  # as long as an Idempotency-Key is kept: a phone that was out of the net for a working week
# Photos that are put together at once: the model has two in hand at most, and each may be 30 MiB beside those that came whole.
AT_ONCE = 4
LEFT_AT_ONCE = 100  # in one look for photos that were left without an answer; the next look finds the next ones
_SAID = ("file_name", "user_id", "user_location", "group", "captured_at", "consent", "source")
_FOR_GOOD = (PhotoError, IdempotencyConflict)  # sending the same photo again would change nothing


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an upload is: `offset` bytes of `length` are safe. `said` goes with the photo."""

    id: str
    offset: int
    length: int
    said: Body


class Uploads:
    """Takes pieces, from many threads at once. Somebody else's upload is as absent as one that never was."""

    def __init__(self, ledger: Ledger, blobs: BlobStore, answering: Answering, max_bytes: int) -> None:
        self._ledger, self._blobs, self._answering = ledger, blobs, answering
        self.max_bytes = max_bytes
        self._hands = threading.BoundedSemaphore(AT_ONCE)

    def begin(self, said: Submission, length: int, sender: Sender) -> Progress:
        """An upload of `length` bytes. `said` is all that goes with the photo, without its bytes; made twice it is one upload.

        Raises `RequestInvalid`, `EmptyUpload`, `TooManyBytes`, `IdempotencyConflict` and the `Unavailable` errors.
        """
        said = checked(said, sender)
        if said.idempotency_key is None:
            raise RequestInvalid(
                "An upload in pieces needs an Idempotency-Key, so that it can be found again.", field="Idempotency-Key"
            )
        if length == 0:
            raise EmptyUpload
        if length > self.max_bytes:
            raise TooManyBytes(max_bytes=self.max_bytes)
        self._blobs.refuse_when_away()
        fields = _fields(said)
        with self._ledger.transaction() as session:
            upload = uploads.begin(session, sender.scope, said.idempotency_key, length, fields)
            if upload.length != length or _without_labels(upload.fields) != _without_labels(fields):
                raise IdempotencyConflict
            return _progress(upload)

    def look(self, upload_id: str, sender: Sender) -> Progress:
        """How far it is. Raises `NotFound`."""
        return _progress(self._own(upload_id, sender))

    def take(self, upload_id: str, offset: int, piece: bytes, sender: Sender) -> Progress:
        """Keep a piece that begins at `offset`: when this returns, it is safe.

        Raises `NotFound`, `UploadConflict` (it does not follow the last one), `TooManyBytes` and the `Unavailable` errors.
        """
        upload = self._own(upload_id, sender)
        if offset != upload.offset:
            raise _conflict(upload, offset)
        if offset + len(piece) > upload.length:
            raise TooManyBytes(
                f"The piece goes beyond the {upload.length} bytes that were announced in Upload-Length. Begin a new upload."
            )
        if piece:
            self._keep(upload, piece)
        return replace(_progress(upload), offset=offset + len(piece))

    def answer(self, upload_id: str, sender: Sender, *, request_id: str | None = None) -> Body:
        """The body of `POST /predict` for a photo that is whole.

        Raises `NotFound`, `UploadConflict` while bytes are missing, and what `answering.answer` raises: a `PhotoError` for good.
        """
        upload = self._own(upload_id, sender)
        if upload.refusal is not None:
            raise _refusal(upload.refusal)
        if upload.prediction_id is not None:
            return self._stored(upload.prediction_id)
        if upload.offset < upload.length:
            raise UploadConflict(
                f"The photo is not whole yet: {upload.offset} of {upload.length} bytes are safe. Send the rest first.",
                upload_offset=upload.offset,
            )
        return self._finish(upload, sender, request_id)

    def answer_if_whole(self, at: Progress, sender: Sender, *, request_id: str | None = None) -> None:
        """After the last piece. It is safe, so nothing that goes wrong here is its sender's: `answer` says it when asked."""
        if at.offset < at.length:
            return
        try:
            self.answer(at.id, sender, request_id=request_id)
        except LeafloopError as error:
            _log.info("upload is whole and not answered", upload=at.id, code=error.code)

    def answer_what_was_left(self) -> int:
        """Answer photos that came whole before a stop, and whose sender may never ask again. How many there were."""
        with self._ledger.reading() as session:
            left = uploads.whole_and_unanswered(session, limit=LEFT_AT_ONCE)
        for upload in left:
            with suppress(UnderWay):  # its sender is asking just now
                self.answer_if_whole(_progress(upload), _sender_of(upload))
        return len(left)

    def give_up(self, upload_id: str, sender: Sender) -> None:
        """Take an upload away with all its pieces; an answer that was given stays. Raises `NotFound`."""
        upload = self._own(upload_id, sender)
        with self._ledger.transaction() as session:
            keys = uploads.remove(session, [upload.id])
        self._remove(keys)

    def _own(self, upload_id: str, sender: Sender) -> Upload:
        with self._ledger.reading() as session:
            upload = uploads.get(session, upload_id)
        if upload is None or upload.scope != sender.scope:
            raise NotFound(
                "There is no such upload here, or it belongs to somebody else. One that is a week old is gone: begin again."
            )
        return upload

    def _keep(self, upload: Upload, piece: bytes) -> None:
        key = self._blobs.put(piece)
        with self._ledger.transaction() as session:
            erasing.keep_object(session, self._blobs, piece, key)
            if not uploads.add_piece(session, upload.id, upload.offset, key, len(piece)):
                raise _conflict(upload, upload.offset)  # a twin was faster; the object goes when it is swept

    def _finish(self, upload: Upload, sender: Sender, request_id: str | None) -> Body:
        said = {name: value for name, value in upload.fields.items() if name in _SAID}
        with self._in_hand():
            sent = Submission(self._whole(upload), idempotency_key=upload.key, request_id=request_id, **said)
            try:
                body = self._answering.answer(sent, sender)
            except _FOR_GOOD as error:
                self._settle(upload, refusal={"code": error.code, "detail": error.detail})
                raise
        self._settle(upload, prediction_id=body["prediction_id"])
        return body

    @contextmanager
    def _in_hand(self) -> Iterator[None]:
        self._answering.refuse_when_full()
        if not self._hands.acquire(blocking=False):
            raise Overloaded
        try:
            yield
        finally:
            self._hands.release()

    def _whole(self, upload: Upload) -> bytes:
        with self._ledger.reading() as session:
            pieces = uploads.pieces(session, upload.id)
        data = bytearray()
        for piece in pieces:
            data += self._piece(upload, piece)
        if len(data) != upload.length:  # a twin has just answered it, and its pieces are gone
            raise Overloaded("The same photo is being answered. Ask again in a moment.")
        return bytes(data)

    def _piece(self, upload: Upload, piece: UploadPiece) -> bytes:
        """Its bytes. One that rotted or is gone is asked for again: the phone still has the photo."""
        try:
            return self._blobs.get(piece.sha256)
        except (BlobCorrupt, BlobMissing) as error:
            _log.error("piece of an upload is damaged; asked for again", upload=upload.id, code=error.code)
            with self._ledger.transaction() as session:
                uploads.take_back(session, upload.id, piece.offset)
            raise UploadConflict(
                f"What was kept of this photo is damaged from byte {piece.offset} on. Send it again from there.",
                upload_offset=piece.offset,
            ) from error

    def _stored(self, prediction_id: str) -> Body:
        with self._ledger.reading() as session:
            prediction = predictions.get(session, prediction_id)
            if prediction is None:
                raise NotFound("This photo was answered, and its answer was deleted since.")
            return prediction.answer

    def _settle(self, upload: Upload, *, prediction_id: str | None = None, refusal: Body | None = None) -> None:
        with self._ledger.transaction() as session:
            keys = uploads.settle(session, upload.id, prediction_id=prediction_id, refusal=refusal)
        self._remove(keys)

    def _remove(self, keys: list[str]) -> None:
        try:
            erasing.remove_objects(self._ledger, self._blobs, keys)
        except Unavailable as error:  # no row names them any more: they are swept after a day
            _log.warning("pieces not removed", code=error.code)


def _fields(said: Submission) -> Body:
    when = said.captured_at.isoformat() if isinstance(said.captured_at, datetime) else None
    return {**{name: value for name, value in asdict(said).items() if name in _SAID}, "captured_at": when}


def _without_labels(fields: Body) -> Body:
    """What makes two uploads the same: file name and door do not count, and the exact place is not kept for long."""
    return {name: value for name, value in fields.items() if name not in ("file_name", "source", "user_location")}


def _progress(upload: Upload) -> Progress:
    return Progress(upload.id, upload.offset, upload.length, upload.fields)


def _conflict(upload: Upload, offset: int) -> UploadConflict:
    return UploadConflict(
        f"The piece begins at byte {offset}, and {upload.offset} bytes are safe. Ask for the offset, and go on from there.",
        upload_offset=upload.offset,
    )


def _sender_of(upload: Upload) -> Sender:
    return Sender(None if upload.scope == Sender(None, "field").scope else upload.scope, "field")


def _refusal(kept: Body) -> LeafloopError:
    """The error that refused a photo, as it was raised then."""
    kinds: dict[str, type[LeafloopError]] = {kind.code: kind for kind in PhotoError.__subclasses__()}
    kinds[IdempotencyConflict.code] = IdempotencyConflict
    return kinds.get(kept["code"], PhotoError)(kept["detail"])
