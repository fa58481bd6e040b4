"""What is sent with a photo is checked before anything is done with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from leafloop.errors import RequestInvalid
from leafloop.live.submission import Sender, Submission, checked

FE = Sender("fekey123", "field", user_id="fe")


def check(**fields: object) -> Submission:
    return checked(Submission(b"photo", **fields), FE)  # type: ignore[arg-type]


def test_texts_are_trimmed_and_an_empty_field_is_one_not_given() -> None:
    sent = check(user_id="  ana ", user_location="", group=" ", file_name="", captured_at="")
    assert (sent.user_id, sent.user_location, sent.group, sent.file_name, sent.captured_at) == (
        "ana",
        None,
        None,
        None,
        None,
    )


def test_without_a_user_id_in_the_form_the_senders_own_counts() -> None:
    assert check().user_id == "fe"
    assert checked(Submission(b""), Sender(None, "field")).user_id is None


@pytest.mark.parametrize("field", ["user_id", "user_location", "group"])
@pytest.mark.parametrize("value", ["x" * 201, "a\x00b", "a\nb", "a\x1b[2J", "half \ud800"])
def test_a_field_too_long_or_with_control_characters_is_refused_by_name(field: str, value: str) -> None:
    with pytest.raises(RequestInvalid, match=field):
        check(**{field: value})
    assert getattr(check(**{field: "Luzón, plot 3 🍌" + "x" * 184}), field).startswith("Luz")


def test_a_file_name_is_only_a_label() -> None:
    assert check(file_name="../../etc/passwd").file_name == "../../etc/passwd"
    assert check(file_name="a\r\nb\x1b[2J\ud800.jpg").file_name == "a\\r\\nb\\x1b[2J\\ud800.jpg"
    assert check(file_name="x" * 500).file_name == "x" * 200


@pytest.mark.parametrize(
    "said",
    [
        "2026-11-24T08:30:00+08:00",
        "2026-11-24T00:30:00Z",
        "2026-11-24 00:30",
        datetime(2026, 11, 24, 8, 30, tzinfo=timezone(timedelta(hours=8))),
    ],
)
def test_a_time_is_kept_in_utc(said: str | datetime) -> None:
    assert check(captured_at=said).captured_at == datetime(2026, 11, 24, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("said", ["yesterday", "2026-13-01", "0001-01-01T00:00:00+14:00", "24/11/2026"])
def test_what_is_no_time_is_refused(said: str) -> None:
    with pytest.raises(RequestInvalid, match="captured_at"):
        check(captured_at=said)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "clé", "\x00"])
def test_an_idempotency_key_is_printable_ascii(key: str) -> None:
    with pytest.raises(RequestInvalid, match="Idempotency-Key"):
        check(idempotency_key=key)
    assert check(idempotency_key="x" * 255).idempotency_key == "x" * 255


def test_the_fingerprint_tells_requests_apart_by_photo_and_form_but_not_by_file_name() -> None:
    base = {"user_id": "ana", "group": "plot 3", "captured_at": "2026-11-24T08:30:00+08:00", "consent": True}
    same = check(**base, file_name="a.jpg", idempotency_key="k1", request_id="r1").fingerprint
    assert (
        check(**base | {"captured_at": "2026-11-24T00:30:00Z"}, file_name="b.jpg", request_id="r2").fingerprint == same
    )
    others = [
        check(**base | {"user_id": "ben"}),
        check(**base | {"consent": False}),
        check(**base | {"consent": None}),
        check(**base | {"group": None, "user_location": "plot 3"}),
        checked(Submission(b"other", **base), FE),  # type: ignore[arg-type]
    ]
    assert len({same, *(o.fingerprint for o in others)}) == 6
