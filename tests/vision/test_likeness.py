"""Copies are found, however they come again; and photos that are none are told apart, on real photos and on rendered leaves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmarks.likeness import copies, cropped, measure, real, rendered

from leafloop.vision import likeness
from leafloop.vision.detection import Pixels

AT_RANDOM = ("cropped at random", "cropped, turned, mirrored, halved, JPEG")  # not on the grid of windows: harder


@pytest.fixture(scope="module")
def leaf() -> Pixels:
    return rendered(2)[1]


def _held(measured: dict[str, object]) -> dict[str, float]:
    recall = measured["recall"]
    assert isinstance(recall, dict)
    assert measured["false"] == 0, measured
    return recall


def test_copies_of_real_photos_are_found_and_strangers_are_not_taken_for_copies(shared: Path) -> None:
    recall = _held(measure(real([shared / "data" / "banana", shared / "data" / "plantdoc"], every=20)))
    for kind, share in recall.items():
        assert share >= (0.75 if kind in AT_RANDOM else 0.88), recall


def test_rendered_leaves_are_told_apart_plain_ones_too(leaf: Pixels) -> None:
    recall = _held(measure(rendered(12)))
    for kind, share in recall.items():
        assert share >= (0.6 if kind in AT_RANDOM else 0.85), recall


def test_all_eight_positions_have_one_likeness(leaf: Pixels) -> None:
    own = likeness.of(leaf)
    for quarter in range(4):
        for mirrored in (False, True):
            seen = np.rot90(leaf, quarter)
            seen = seen[:, ::-1] if mirrored else seen
            assert likeness.distance(own, likeness.of(np.ascontiguousarray(seen))) <= 4


def test_it_is_the_same_whichever_of_two_is_the_copy(leaf: Pixels) -> None:
    a, b = likeness.of(leaf), likeness.of(np.ascontiguousarray(cropped(leaf, 0.8, 0, 1)))
    assert likeness.distance(a, b) == likeness.distance(b, a) <= likeness.NEAR


def test_a_grey_picture_already_small_is_taken_as_it_is(leaf: Pixels) -> None:
    grey = cv2.cvtColor(leaf, cv2.COLOR_RGB2GRAY)
    small = np.asarray(cv2.resize(grey, (128, 128), interpolation=cv2.INTER_AREA), np.uint8)
    assert likeness.distance(likeness.of(leaf), likeness.of(small)) <= 6


def test_pictures_of_one_grey_are_alike_and_like_no_leaf(leaf: Pixels) -> None:
    black, white = (likeness.of(np.full((40, 60, 3), value, np.uint8)) for value in (0, 255))
    assert likeness.distance(black, white) <= 1  # the mean alone differs
    assert likeness.distance(black, likeness.of(leaf)) > likeness.NEAR


def test_likenesses_of_two_methods_are_never_near(leaf: Pixels) -> None:
    own = likeness.of(leaf)
    older = bytes([likeness.VERSION + 1]) + own[1:]
    assert likeness.is_current(own)
    assert not likeness.is_current(older)
    assert not likeness.is_current(None)
    assert likeness.distance(own, older) == likeness.BITS


def test_every_kind_of_copy_is_made(leaf: Pixels) -> None:
    assert len(dict(copies(leaf, 1))) == 13
