"""A photo in pieces: each is safe before it is acknowledged, the whole is answered once, and it is its sender's alone.

The same tests on SQLite with a folder, and on PostgreSQL with S3.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, update
from tests.live.conftest import FE, picture

from leafloop.errors import (
    EmptyUpload,
    IdempotencyConflict,
    NotAnImage,
    NotFound,
    Overloaded,
    RequestInvalid,
    TooManyBytes,
    UploadConflict,
)
from leafloop.live.parts import Parts, cache_of, open_parts
from leafloop.live.submission import Sender, Submission
from leafloop.live.sweeping import Sweepable, sweep
from leafloop.live.uploads import Progress
from leafloop.settings import Settings
from leafloop.storage.blobs import hash_of
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Photo, Prediction, Upload, UploadPiece, now
from leafloop.vision.bundle import Bundle

PHOTO = picture()
CUT = len(PHOTO) * 6 // 10
STRANGER = Sender("other123", "field")


@pytest.fixture(params=["sqlite and a folder", "postgresql and S3"])
def parts(
    request: pytest.FixtureRequest, settings: Settings, rgb: Bundle, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Parts]:
    if request.param != "sqlite and a folder":
        server = request.getfixturevalue("rclone")
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        url = str(request.getfixturevalue("postgres_url"))
        ledger = Ledger(url)
        ledger.upgrade()
        ledger.close()
        where = {"database_url": SecretStr(url), "blobs_url": f"s3://leaf/{secrets.token_hex(4)}"}
        settings = settings.model_copy(update=where)
    with open_parts(settings, bundled=rgb.path) as opened:
        yield opened


def begin(parts: Parts, length: int = len(PHOTO), key: str = "key-1", sender: Sender = FE, **said: object) -> Progress:
    return parts.uploads.begin(Submission(b"", idempotency_key=key, **said), length, sender)  # type: ignore[arg-type]


def count(parts: Parts, table: type) -> int:
    with parts.ledger.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def whole(parts: Parts, photo: bytes = PHOTO, key: str = "key-1", **said: object) -> Progress:
    at = begin(parts, len(photo), key, **said)
    middle = parts.uploads.take(at.id, 0, photo[:CUT], FE)
    return parts.uploads.take(at.id, middle.offset, photo[CUT:], FE)


def test_a_photo_in_pieces_is_answered_as_one_that_came_whole(parts: Parts) -> None:
    at = whole(parts, file_name="leaf.png", group="plot 7", consent=True, captured_at="2026-11-24T08:30:00+08:00")
    body = parts.uploads.answer(at.id, FE)
    assert body["outcome"] == parts.answering.answer(Submission(PHOTO), FE)["outcome"]
    assert parts.uploads.answer(at.id, FE) == body
    with parts.ledger.reading() as session:
        prediction = session.get(Prediction, body["prediction_id"])
        assert prediction is not None
        photo = session.get(Photo, prediction.photo_id)
        assert photo is not None
        assert (photo.sha256, photo.file_name, photo.group) == (hash_of(PHOTO), "leaf.png", "plot 7")
        assert (photo.consent, str(photo.captured_at)) == (True, "2026-11-24 00:30:00+00:00")
    assert count(parts, UploadPiece) == 0
    assert not parts.blobs.has(hash_of(PHOTO[:CUT]))


def test_made_twice_it_is_one_upload_that_goes_on_where_it_was(parts: Parts) -> None:
    first = begin(parts, group="plot 7")
    parts.uploads.take(first.id, 0, PHOTO[:CUT], FE)
    again = begin(parts, group="plot 7", file_name="another label.png")
    assert (again.id, again.offset) == (first.id, CUT)
    assert count(parts, Upload) == 1
    with pytest.raises(IdempotencyConflict):
        begin(parts, group="plot 8")
    with pytest.raises(IdempotencyConflict):
        begin(parts, len(PHOTO) + 1, group="plot 7")


def test_a_piece_that_does_not_follow_is_refused_and_says_where_to_go_on(parts: Parts) -> None:
    at = begin(parts)
    parts.uploads.take(at.id, 0, PHOTO[:CUT], FE)
    for offset in (0, CUT - 1, CUT + 1):
        with pytest.raises(UploadConflict) as refused:
            parts.uploads.take(at.id, offset, b"x", FE)
        assert refused.value.fields == {"upload_offset": CUT}
    with pytest.raises(UploadConflict, match="not whole yet"):
        parts.uploads.answer(at.id, FE)
    assert parts.uploads.look(at.id, FE).offset == CUT


def test_twins_of_one_piece_are_kept_once(parts: Parts) -> None:
    at = begin(parts)

    def send(_number: int) -> str:
        try:
            parts.uploads.take(at.id, 0, PHOTO[:CUT], FE)
        except UploadConflict:
            return "refused"
        return "taken"

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(send, range(8)))
    assert ends.count("taken") == 1
    assert count(parts, UploadPiece) == 1
    parts.uploads.take(at.id, CUT, PHOTO[CUT:], FE)
    assert parts.uploads.answer(at.id, FE)["success"]


def test_what_is_too_long_or_nothing_or_without_a_key_is_refused(parts: Parts) -> None:
    at = begin(parts)
    with pytest.raises(TooManyBytes, match="beyond"):
        parts.uploads.take(at.id, 0, PHOTO + b"x", FE)
    with pytest.raises(TooManyBytes):
        begin(parts, parts.settings.max_upload_bytes + 1, "key-2")
    with pytest.raises(EmptyUpload):
        begin(parts, 0, "key-2")
    with pytest.raises(RequestInvalid, match="Idempotency-Key"):
        parts.uploads.begin(Submission(b""), 5, FE)
    assert count(parts, UploadPiece) == 0


def test_a_strangers_upload_is_not_there(parts: Parts) -> None:
    at = begin(parts)
    for ask in (
        lambda: parts.uploads.look(at.id, STRANGER),
        lambda: parts.uploads.take(at.id, 0, PHOTO, STRANGER),
        lambda: parts.uploads.answer(at.id, STRANGER),
        lambda: parts.uploads.give_up(at.id, STRANGER),
        lambda: parts.uploads.look("0" * 36, FE),
    ):
        with pytest.raises(NotFound):
            ask()
    assert begin(parts, sender=STRANGER).id != at.id  # and a key means something to its sender alone


def test_a_photo_that_is_refused_is_refused_for_good_and_its_pieces_go(parts: Parts) -> None:
    words = b"Dear diary, today I saw a leaf." * 99
    at = whole(parts, words)
    for _ in range(2):
        with pytest.raises(NotAnImage, match="not a picture"):
            parts.uploads.answer(at.id, FE)
    assert (count(parts, UploadPiece), count(parts, Photo)) == (0, 0)
    assert not parts.blobs.has(hash_of(words[:CUT]))


def test_killed_between_the_answer_and_its_note_the_photo_is_counted_once(parts: Parts, reads: list[str]) -> None:
    at = whole(parts)
    settle = parts.uploads._settle
    parts.uploads._settle = _die  # type: ignore[method-assign, assignment]
    with pytest.raises(ZeroDivisionError):
        parts.uploads.answer(at.id, FE)
    parts.uploads._settle = settle  # type: ignore[method-assign]
    body = parts.uploads.answer(at.id, FE)
    assert count(parts, Prediction) == len(reads) == 1
    assert parts.answering.answer(Submission(PHOTO, idempotency_key="key-1"), FE) == body  # sent whole with that key


def _die(*_args: object, **_fields: object) -> None:
    raise ZeroDivisionError


def test_a_photo_that_was_sent_whole_first_and_never_heard_of_is_not_counted_again(parts: Parts) -> None:
    unheard = parts.answering.answer(Submission(PHOTO, user_id="Amina", idempotency_key="key-1"), FE)
    at = whole(parts, user_id="Amina")
    assert parts.uploads.answer(at.id, FE) == unheard
    assert count(parts, Prediction) == 1


def test_what_was_whole_and_not_answered_at_a_stop_is_answered_afterwards(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = whole(parts)
    with monkeypatch.context() as rush_hour:
        rush_hour.setattr(parts.answering, "answer", _busy)
        parts.uploads.answer_if_whole(at, FE)  # says nothing: the piece is safe
        assert count(parts, Prediction) == 0
    assert parts.uploads.answer_what_was_left() == 1
    assert parts.uploads.answer_what_was_left() == 0
    with parts.ledger.reading() as session:
        (prediction,) = session.scalars(select(Prediction))
    assert prediction.key_id == FE.key_id
    assert parts.uploads.answer(at.id, FE)["prediction_id"] == prediction.id


def _busy(*_args: object) -> None:
    raise Overloaded


def test_a_piece_that_rotted_is_asked_for_again(parts: Parts) -> None:
    at = whole(parts)
    parts.blobs.delete(hash_of(PHOTO[CUT:]))
    with pytest.raises(UploadConflict, match=f"from byte {CUT} on"):
        parts.uploads.answer(at.id, FE)
    parts.uploads.take(at.id, CUT, PHOTO[CUT:], FE)
    assert parts.uploads.answer(at.id, FE)["success"]


def test_given_up_it_is_gone_with_its_pieces(parts: Parts) -> None:
    at = begin(parts)
    parts.uploads.take(at.id, 0, PHOTO[:CUT], FE)
    parts.uploads.give_up(at.id, FE)
    with pytest.raises(NotFound):
        parts.uploads.look(at.id, FE)
    assert not parts.blobs.has(hash_of(PHOTO[:CUT]))
    assert (count(parts, Upload), count(parts, UploadPiece)) == (0, 0)


def test_an_upload_that_nobody_goes_on_with_is_swept_after_a_week(parts: Parts) -> None:
    place = Sweepable(parts.ledger, parts.blobs, cache_of(parts.settings))
    old, young = begin(parts), begin(parts, key="key-2")
    for at, piece in ((old, PHOTO[:CUT]), (young, PHOTO[: CUT + 1])):
        parts.uploads.take(at.id, 0, piece, FE)
    with parts.ledger.transaction() as session:
        week_old = update(Upload).where(Upload.id == old.id).values(created_at=now() - timedelta(days=7, minutes=1))
        session.execute(week_old)
    assert sweep(place, dry_run=True).uploads == 1
    assert sweep(place).uploads == 1
    assert not parts.blobs.has(hash_of(PHOTO[:CUT]))
    assert parts.blobs.has(hash_of(PHOTO[: CUT + 1]))
    assert parts.uploads.look(young.id, FE).offset == CUT + 1
    assert sweep(place).uploads == 0
