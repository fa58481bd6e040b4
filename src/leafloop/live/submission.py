"""What is sent with a photo and by whom, checked and brought into one form. Knows neither pixels nor tables."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

from leafloop.errors import RequestInvalid
from leafloop.live import places

MAX_TEXT = 200  # user_id, user_location, group: names and places, not letters to us
MAX_LABEL = {"file_name": 200, "request_id": 64}  # the columns' widths
MAX_KEY = 255  # as other public APIs allow for Idempotency-Key, and two UUIDs with room to spare
_UNUSABLE = frozenset({"Cc", "Cs"})  # control characters and half surrogates: a database or a terminal chokes on them


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends. A `user_id` is believed only within its key; without a key (open mode, command line) `key_id` is None."""

    key_id: str | None
    role: str
    user_id: str | None = None

    @property
    def scope(self) -> str:
        """Where an Idempotency-Key means something: two keys never see each other's answers."""
        return self.key_id or "open"


@dataclass(frozen=True)
class Submission:
    """A photo as received, and what its sender says about it. `source` is the door: api, page or cli."""

    data: bytes
    file_name: str | None = None
    user_id: str | None = None
    user_location: str | None = None
    group: str | None = None
    captured_at: datetime | str | None = None
    consent: bool | None = None
    idempotency_key: str | None = None
    request_id: str | None = None
    source: str = "api"

    @cached_property
    def sha256(self) -> str:
        """Of the bytes received."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """What makes two submissions the same request: the photo and the form's fields. The file's name is only a label."""
        when = self.captured_at.isoformat() if isinstance(self.captured_at, datetime) else self.captured_at
        said = [self.sha256, self.user_id, self.user_location, self.group, when, self.consent]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def checked(submission: Submission, sender: Sender) -> Submission:
    """The submission in its one form: texts trimmed (empty: not given), time in UTC. Raises `RequestInvalid`."""
    return replace(
        submission,
        file_name=_label("file_name", submission.file_name),
        request_id=_label("request_id", submission.request_id),
        user_id=_text("user_id", submission.user_id) or _text("user_id", sender.user_id),
        user_location=_text("user_location", submission.user_location),
        group=_text("group", submission.group),
        captured_at=_time(submission.captured_at),
        idempotency_key=_idempotency_key(submission.idempotency_key),
    )


def coarse(sent: Submission, location_decimals: int) -> Submission:
    """What may be kept of a checked submission: a position in it is rounded. Ask for the `fingerprint` before: it is of what was
    sent, so that a retry is the same request whatever the rounding is set to."""
    if sent.user_location is None:
        return sent
    return replace(sent, user_location=places.rounded(sent.user_location, location_decimals))


def _text(field: str, value: str | None) -> str | None:
    value = (value or "").strip()
    if len(value) > MAX_TEXT:
        raise RequestInvalid(f"{field} has more than {MAX_TEXT} characters.", field=field)
    if any(unicodedata.category(c) in _UNUSABLE for c in value):
        raise RequestInvalid(f"{field} holds control characters.", field=field)
    return value or None


def _label(field: str, value: str | None) -> str | None:
    """A file name is what its sender calls the photo: never a path of ours, so it is escaped and cut, not judged."""
    escaped = "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNUSABLE else c for c in value or ""
    )
    return escaped[: MAX_LABEL[field]] or None


def _time(value: datetime | str | None) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RequestInvalid(
            "captured_at is not a time. Write it like 2026-11-24T08:30:00+08:00.", field="captured_at"
        ) from None


def _idempotency_key(key: str | None) -> str | None:
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY or not (key.isascii() and key.isprintable()):
        raise RequestInvalid(
            f"Idempotency-Key has to be 1 to {MAX_KEY} printable ASCII characters.", field="Idempotency-Key"
        )
    return key
