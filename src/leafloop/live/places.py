"""Positions made coarser before they are kept: which field a plant stands in is enough, whose door it is is nobody's business.

A text is a position when the whole of it is one: two numbers in decimal degrees, or degrees with minutes and seconds, with or
without a hemisphere's letter; or a `geo:` URI (RFC 5870). Inside words, as in a link to a map, two numbers near each other that
could be a place on Earth are one if they have three decimals or more (100 m): prices, sizes and dates have fewer. Anything else
is words ("plot 3, behind the school") and stays as it is, and so does what is coarse enough. Knows no photo and no table.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

_LABEL = r"(?:(?:lat(?:itude)?|lon(?:g(?:itude)?)?|lng)\s*[:=]?\s*)?"
_SIGN = r"(?P<sign>[+-]?)"
_DEGREES = r"(?P<degrees>\d{1,3}(?:[.,]\d+)?)"
_MINUTES = (
    r"(?:\s*(?P<minutes>\d{1,2}(?:[.,]\d+)?)\s*['′’](?:\s*(?P<seconds>\d{1,2}(?:[.,]\d+)?)\s*(?:[\"”]|['′’]{2}))?)?"
)
_NUMBER = re.compile(
    rf"{_LABEL}(?P<before>[NSEW]?)\s*{_SIGN}\s*{_DEGREES}\s*(?P<ring>°?){_MINUTES}\s*(?P<after>[NSEW]?)",
    re.ASCII | re.IGNORECASE,
)
_GEO = re.compile(
    r"geo:(?P<first>-?\d{1,3}(?:\.\d+)?),(?P<second>-?\d{1,3}(?:\.\d+)?)(?:,-?\d+(?:\.\d+)?)?(?:;.*)?", re.ASCII | re.I
)
# As phones and spreadsheets write them; NFKC would make a letter of the second ring.
_SIGNS = str.maketrans({"−": "-", "–": "-", "º": "°", "″": '"'})
# Where the first number ends: at a comma, a semicolon, or at a space.
_BETWEEN = re.compile(r"\s*[,;]\s*|\s+")
_LATITUDE, _LONGITUDE = 90.0, 180.0
# A number of a position inside words, without its sign. With a comma it needs four decimals: `1,500` is fifteen hundred.
_FINE = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{3,}|,\d{4,})(?!\d)")
_NEAR = 24  # characters between the two, as in `&longitude=` or `!4d`; two that are further apart may be no pair


def rounded(text: str, decimals: int) -> str:
    """A position with at most so many decimals of a degree, as "14.60, 120.98"; any other text with those in it made coarser."""
    plain = unicodedata.normalize("NFKC", text.translate(_SIGNS)).strip()
    pair = _geo(plain) or _pair(plain.removeprefix("(").removesuffix(")").strip())
    if pair is None:
        return next((kept for said in (text, plain) if (kept := _within(said, decimals)) != said), text)
    if all(digits <= decimals for _, digits in pair):
        return text
    return ", ".join(_written(degrees, decimals) for degrees, _ in pair)


_Number = tuple[float, int]  # degrees, and how many decimals of them were said


def _within(text: str, decimals: int) -> str:
    """Words with every position in them rounded where it stands."""
    fine = list(_FINE.finditer(text))
    places = {
        number.start()
        for pair in pairwise(fine)
        if pair[1].start() - pair[0].end() <= _NEAR and _on_earth(*(_value(number[0]) for number in pair))
        for number in pair
    }

    def coarse(number: re.Match[str]) -> str:
        exact = number.start() in places and _digits(number[0]) > decimals
        return _written(_value(number[0]), decimals) if exact else number[0]

    return _FINE.sub(coarse, text)


def _value(number: str) -> float:
    return float(number.replace(",", "."))


def _geo(text: str) -> tuple[_Number, _Number] | None:
    found = _GEO.fullmatch(text)
    if found is None:
        return None
    first, second = ((float(found[name]), _digits(found[name])) for name in ("first", "second"))
    return (first, second) if _on_earth(first[0], second[0]) else None


def _pair(text: str) -> tuple[_Number, _Number] | None:
    """The one way, if there is any, to read all of a text as two numbers that are a place on Earth."""
    for between in _BETWEEN.finditer(text):
        first, second = _number(text[: between.start()]), _number(text[between.end() :])
        if first is None or second is None or {first[1], second[1]} in ({"NS"}, {"EW"}):
            continue
        if _on_earth(first[0][0], second[0][0]):
            return first[0], second[0]
    return None


def _number(text: str) -> tuple[_Number, str] | None:
    """A number of degrees, and the axis that its letter names ("" without one)."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None or (found["before"] and found["after"]) or (found["minutes"] and not found["ring"]):
        return None
    letter = (found["before"] or found["after"]).upper()
    if letter and found["sign"]:
        return None
    parts = [float((found[name] or "0").replace(",", ".")) for name in ("degrees", "minutes", "seconds")]
    if parts[1] >= 60 or parts[2] >= 60:
        return None
    degrees = parts[0] + parts[1] / 60 + parts[2] / 3600
    digits = 9 if found["minutes"] else _digits(found["degrees"])  # a minute is 0.016666... degrees
    negative = found["sign"] == "-" or letter in ("S", "W")
    axis = "NS" if letter in ("N", "S") else "EW" if letter else ""
    return (-degrees if negative else degrees, digits), axis if letter else ""


def _digits(number: str) -> int:
    _, _, decimals = number.replace(",", ".").partition(".")
    return len(decimals)


def _on_earth(one: float, other: float) -> bool:
    """Latitude and longitude in either order: who writes them the other way round is as easily found."""
    small, large = sorted((abs(one), abs(other)))
    return small <= _LATITUDE and large <= _LONGITUDE


def _written(degrees: float, decimals: int) -> str:
    return f"{round(degrees, decimals) + 0.0:.{decimals}f}"  # + 0.0: there is no minus nought
