"""docs/REVIEW.md says what the code does."""

from __future__ import annotations

import re

from tests.conftest import ROOT

from leafloop.learning.review import at_first_sight, deciding, opinions, taking, worth
from leafloop.storage import reviews

TEXT = (ROOT / "docs" / "REVIEW.md").read_text("utf-8")


def test_the_weights_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", TEXT, re.M)
    assert {code: float(weight) for code, weight in rows} == worth.WEIGHTS


def test_the_numbers_are_those_of_the_code() -> None:
    assert (taking.RANDOM_EVERY, "Every fifth case" in TEXT) == (5, True)
    assert f"below {at_first_sight.ENOUGH_LABELS} labels" in TEXT
    assert f"within {at_first_sight.CLOSE} of" in TEXT
    assert f"the last {deciding.COLLEAGUES.days} days" in TEXT
    assert (reviews.SECOND_WAIT.days, reviews.SKIP_REST.days, opinions.SAME_BOXES) == (7, 1, 0.5)
