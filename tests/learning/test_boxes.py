"""Boxes that people and files bring: taken in one form, or refused by the box's number."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny_models import BANANA

from leafloop.errors import RequestInvalid
from leafloop.learning.boxes import MAX_BOXES, check_boxes

NAME = BANANA.class_names[3]


def box(x1: Any = 10, y1: Any = 20, x2: Any = 30, y2: Any = 50, **more: Any) -> dict[str, Any]:
    return {"class_name": NAME, "bbox": {"x1": x1, "y1": y1, "x2": x2, "y2": y2}} | more


def test_a_box_comes_back_with_name_and_id_and_nothing_else() -> None:
    (found,) = check_boxes([box(confidence=0.9)], BANANA, 640, 480)
    assert found == {"class_id": 3, "class_name": NAME, "bbox": {"x1": 10.0, "y1": 20.0, "x2": 30.0, "y2": 50.0}}
    assert check_boxes([box(class_name=None, class_id=3)], BANANA, 640, 480) == [found]
    assert check_boxes([box(class_id=3)], BANANA, 640, 480) == [found]


def test_no_boxes_at_all_is_a_word_of_its_own() -> None:
    assert check_boxes([], BANANA, 640, 480) == []


def test_half_a_pixel_outside_is_set_to_the_edge() -> None:
    (found,) = check_boxes([box(-0.5, -0.2, 640.5, 480.4)], BANANA, 640, 480)
    assert found["bbox"] == {"x1": 0.0, "y1": 0.0, "x2": 640.0, "y2": 480.0}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (box(math.nan), "x1 is not a finite"), (box(x2=math.inf), "x2 is not a finite"), (box(10**400), "finite"),
        (box("10"), "not a number"), (box(True), "not a number"), (box(None), "not a number"),
        (box(-1), "outside"), (box(x2=641), "outside"), (box(y2=481), "outside"), (box(700, 20, 720, 50), "outside"),
        (box(30, 20, 10, 50), "empty"), (box(10, 20, 10, 50), "empty"), (box(10, 20, 10.5, 50), "empty"),
        (box(639.9, 20, 640.5, 50), "empty"),
        (box(class_name="Stage99"), "not a class"), (box(class_name=None), "no class"), (box(class_id=2), "two classes"),
        (box(class_name=None, class_id=99), "not a class"), (box(class_name=None, class_id=-1), "not a class"),
        (box(class_name=None, class_id=True), "not a class"), (box(class_name=7), "not a class"),
        ({"class_name": NAME}, "another form"), ({"class_name": NAME, "bbox": [1, 2, 3, 4]}, "another form"), ("box", "another form"),
    ],
)  # fmt: skip
def test_a_box_that_cannot_be_is_refused_by_its_number(wrong: Any, words: str) -> None:
    with pytest.raises(RequestInvalid, match=rf"boxes\[1\].*{words}"):
        check_boxes([box(), wrong], BANANA, 640, 480)


@pytest.mark.parametrize("boxes", [None, "[]", {"x": 1}, 7])
def test_what_is_no_list_is_refused(boxes: Any) -> None:
    with pytest.raises(RequestInvalid, match="list of boxes"):
        check_boxes(boxes, BANANA, 640, 480)


def test_too_many_boxes_are_refused() -> None:
    with pytest.raises(RequestInvalid, match=str(MAX_BOXES)):
        check_boxes([box()] * (MAX_BOXES + 1), BANANA, 640, 480)


NUMBERS = st.floats() | st.integers() | st.floats(-1, 650)


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_whatever_is_taken_lies_within_the_photo(x1: float, y1: float, x2: float, y2: float) -> None:
    try:
        (found,) = check_boxes([box(x1, y1, x2, y2)], BANANA, 640, 480)
    except RequestInvalid:
        return
    edges = found["bbox"]
    assert 0 <= edges["x1"] < edges["x2"] <= 640
    assert 0 <= edges["y1"] < edges["y2"] <= 480
