"""A position is rounded before it is kept, in whatever form it was sent; words stay words."""

from __future__ import annotations

import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from tests.live.conftest import send

from leafloop.errors import IdempotencyConflict
from leafloop.live.parts import Parts
from leafloop.live.places import rounded
from leafloop.live.submission import Sender, Submission, checked, coarse
from leafloop.storage.tables import Prediction

POSITIONS = [
    "14.599512, 120.984222", "14.599512,120.984222", "14.599512 120.984222", "14.599512;120.984222", " +14.599512 , +120.984222 ",
    "(14.599512, 120.984222)", "14,599512; 120,984222", "14,599512 120,984222", "14,599512, 120,984222",
    "14.599512N, 120.984222E", "N14.599512 E120.984222", "n 14.599512, e 120.984222", "14.599512° N, 120.984222° E",
    "14.599512°, 120.984222°", "14°35'58.24\"N 120°59'3.2\"E", "14° 35′ 58.24″ N, 120° 59′ 3.2″ E", "14º35.9707'N 120º59.0533'E",
    "geo:14.599512,120.984222", "GEO:14.599512,120.984222,12.5;u=35", "geo:14.599512,120.984222;crs=wgs84",
    "lat: 14.599512, lon: 120.984222", "Latitude 14.599512; Longitude 120.984222", "１４．５９９５１２, 120.984222",
]  # fmt: skip
WORDS = [
    "Davao", "plot 3, behind the school", "Luzón 🍌", "14.599512", "14.599512, ", "row 14.59, 120.98",
    "91.5991, 181.9842", "95.12345, 92.12345", "14°75'1\"N 120°59'3\"E", "1,500 plants, 2,000 leaves", "2.5 kg, 3.75 kg",
    "1e5, 1e5", "nan, nan", "14.599512, and a long way down the road 120.984222", "geo:14.599512", "geo:91.55555,200.55555", "3.14159", "2026-11-27", "",
]  # fmt: skip


@pytest.mark.parametrize("text", POSITIONS)
def test_a_position_is_rounded_in_whatever_form_it_comes(text: str) -> None:
    assert rounded(text, 2) == "14.60, 120.98"
    assert rounded(text, 0) == "15, 121"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("-14.599512, -120.984222", "-14.60, -120.98"),
        ("14.599512S, 120.984222W", "-14.60, -120.98"),
        ("−14.599512, –120.984222", "-14.60, -120.98"),
        ("120.984222, 14.599512", "120.98, 14.60"),  # the other way round it is as easily found
        ("-0.001, 0.004", "0.00, 0.00"),
        ("90, 180.00000", "90.00, 180.00"),
    ],
)  # fmt: skip
def test_signs_letters_and_order_are_kept(text: str, kept: str) -> None:
    assert rounded(text, 2) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("farm at 14.599512, 120.984222", "farm at 14.60, 120.98"),
        ("14.599512, 120.984222 or so", "14.60, 120.98 or so"),
        ("14.599512, 120.984222, 5", "14.60, 120.98, 5"),
        ("14.599512N, 120.984222S", "14.60N, 120.98S"),
        ("finca 14,599512 120,984222", "finca 14.60 120.98"),
        ("at -14.599512, -120.984222 and -0.0012, 0.0041", "at -14.60, -120.98 and -0.00, 0.00"),
        ("https://www.google.com/maps/@14.599512,120.984222,17z", "https://www.google.com/maps/@14.60,120.98,17z"),
        ("https://maps.google.com/?q=14.599512%2C120.984222", "https://maps.google.com/?q=14.60%2C120.98"),
        ("https://www.google.com/maps/place/X/data=!3d14.599512!4d120.984222", "https://www.google.com/maps/place/X/data=!3d14.60!4d120.98"),
        ("https://www.openstreetmap.org/?mlat=14.599512&mlon=120.984222#map=17/14.5995/120.9842",
         "https://www.openstreetmap.org/?mlat=14.60&mlon=120.98#map=17/14.60/120.98"),
        ("３.14159 then １４.599512 １２０.984222", "3.14 then 14.60 120.98"),
    ],
)  # fmt: skip
def test_a_position_inside_words_or_a_link_is_rounded_where_it_stands(text: str, kept: str) -> None:
    assert rounded(text, 2) == kept
    assert rounded(kept, 2) == kept


@pytest.mark.parametrize("text", WORDS)
def test_words_stay_as_they_are(text: str) -> None:
    assert rounded(text, 2) == text


@pytest.mark.parametrize("text", ["14.6, 120.98", "14, 120", "geo:14.6,121", "3, 4"])
def test_what_is_coarse_enough_stays_as_it_was_written(text: str) -> None:
    assert rounded(text, 2) == text


FORMS = [
    "{0:.7f}, {1:.7f}",
    "{0:.5f} {1:.5f}",
    "geo:{0:.6f},{1:.6f}",
    "({0:+.6f};{1:+.6f})",
    "{2:.6f}°{3}, {4:.6f}°{5}",
]


@given(st.floats(-90, 90), st.floats(-180, 180), st.integers(0, 6), st.sampled_from(FORMS))
def test_no_form_keeps_more_than_the_decimals_and_none_moves_a_place_by_more_than_half_of_the_last(
    latitude: float, longitude: float, decimals: int, form: str
) -> None:
    letters = "NS"[latitude < 0], "EW"[longitude < 0]
    sent = form.format(latitude, longitude, abs(latitude), letters[0], abs(longitude), letters[1])
    kept = rounded(sent, decimals)
    if decimals >= 5 and kept == sent:  # it was coarse enough
        return
    numbers = kept.split(", ")
    assert all(re.fullmatch(rf"-?\d+(\.\d{{{decimals}}})?", number) for number in numbers), (sent, kept)
    near = 0.5 * 10**-decimals + 1e-5  # and what the form itself rounded away
    assert all(abs(float(n) - real) <= near for n, real in zip(numbers, (latitude, longitude), strict=True)), (
        sent,
        kept,
    )
    assert rounded(kept, decimals) == kept


@given(st.text(max_size=200), st.integers(0, 6))
def test_whatever_is_sent_it_is_rounded_once_and_never_fails(text: str, decimals: int) -> None:
    assert rounded(rounded(text, decimals), decimals) == rounded(text, decimals)


@given(
    st.text(max_size=20), st.floats(-90, 90), st.floats(-180, 180), st.text(" abc@?=/", max_size=9), st.integers(0, 2)
)
def test_no_words_around_a_position_keep_it_exact(
    before: str, latitude: float, longitude: float, after: str, decimals: int
) -> None:
    kept = rounded(f"{before} {latitude:.6f},{longitude:.6f}{after}", decimals)
    assert f"{abs(latitude):.6f}" not in kept
    assert f"{abs(longitude):.6f}" not in kept


@given(st.text(string.ascii_letters + string.punctuation + " ", max_size=60), st.integers(0, 6))
def test_a_text_without_digits_is_words(text: str, decimals: int) -> None:
    assert rounded(text, decimals) == text


def test_the_fingerprint_is_of_what_was_sent() -> None:
    said = [checked(Submission(b"", user_location=f"14.599{n}, 120.98"), Sender(None, "field")) for n in (1, 2)]
    assert said[0].fingerprint != said[1].fingerprint
    assert [coarse(one, 2).user_location for one in said] == ["14.60, 120.98"] * 2
    assert coarse(checked(Submission(b""), Sender(None, "field")), 2).user_location is None


def test_an_answer_is_kept_with_the_rounded_position_and_a_retry_is_the_same_request(parts: Parts) -> None:
    exact: dict[str, Any] = {"user_location": "14.599512, 120.984222", "idempotency_key": "k"}
    body = send(parts, **exact)
    assert send(parts, **exact) == body
    with pytest.raises(IdempotencyConflict):
        send(parts, **exact | {"user_location": "14.60, 120.98"})
    with parts.ledger.reading() as session:
        (row,) = session.scalars(select(Prediction)).all()
        assert row.user_location == "14.60, 120.98"
        assert "599512" not in str(row.answer)
