"""Thresholds follow their written rules, on cases small enough to be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from leafloop.learning.bundled import thresholds
from leafloop.vision.detection import Detection

BOX = (10.0, 10.0, 30.0, 30.0)
FAR = (100.0, 100.0, 130.0, 130.0)


def truth(*rows: tuple[int, tuple[float, float, float, float]]) -> thresholds.Boxes:
    return np.array([c for c, _ in rows], np.int64), np.array([b for _, b in rows], np.float32).reshape(-1, 4)


def test_a_detection_is_right_when_it_covers_a_box_of_its_class():
    found = [[Detection(1, 0.9, BOX), Detection(2, 0.8, BOX), Detection(1, 0.7, FAR)]]
    matches = thresholds.match(found, [truth((1, BOX))], classes=3)
    assert matches.right.tolist() == [True, False, False]
    assert matches.truths.tolist() == [0, 1, 0]


def test_a_box_is_found_once_by_the_best_detection_whatever_their_order():
    found = [[Detection(1, 0.5, BOX), Detection(1, 0.9, BOX)]]
    matches = thresholds.match(found, [truth((1, BOX))], classes=2)
    assert matches.score.tolist() == [0.9, 0.5]
    assert matches.right.tolist() == [True, False]


def test_less_than_half_covered_is_not_found():
    shifted = (23.0, 10.0, 43.0, 30.0)  # 7 of 33 columns shared
    assert not thresholds.match([[Detection(1, 0.9, shifted)]], [truth((1, BOX))], classes=2).right.any()


def test_a_photo_with_nothing_on_it_makes_every_detection_wrong():
    assert thresholds.match([[Detection(1, 0.9, BOX)]], [truth()], classes=2).right.tolist() == [False]


def test_scores_are_good_for_boxes_from_where_wrong_ones_end_to_where_right_ones_begin():
    found = [[Detection(1, 0.62, BOX)], [Detection(1, 0.35, FAR)]]
    matches = thresholds.match(found, [truth((1, BOX)), truth((1, BOX))], classes=2)
    good = thresholds.good_for_boxes(matches)
    assert (min(good), max(good)) == pytest.approx((0.36, 0.62))


def test_scores_that_cost_next_to_no_boxes_are_good_too():
    found = [[Detection(1, 0.9, BOX)] for _ in range(99)] + [[Detection(1, 0.4, BOX)]]
    matches = thresholds.match(found, [truth((1, BOX))] * 100, classes=2)
    assert max(thresholds.good_for_boxes(matches)) == pytest.approx(0.9)


def test_each_class_counts_the_same_however_many_boxes_it_has():
    found = [[Detection(1, 0.9, BOX)] * 1 + [Detection(2, 0.3, FAR)]]
    matches = thresholds.match(found, [truth((1, BOX), (2, FAR))], classes=3)
    assert thresholds.mean_f1(matches, 0.25) == pytest.approx(1.0)
    assert thresholds.mean_f1(matches, 0.5) == pytest.approx(0.5)


def test_health_is_vouched_for_below_the_score_that_parts_the_photos():
    ill, healthy = np.linspace(0.5, 0.9, 100), np.linspace(0.0, 0.2, 50)
    chosen = thresholds.vouch_healthy_below(ill, healthy, detect=0.4)
    assert chosen is not None
    assert 0.2 < chosen <= 0.4


def test_at_most_one_in_fifty_ill_photos_may_be_called_healthy():
    ill, healthy = np.array([0.1] * 3 + [0.8] * 97), np.array([0.12] * 50)
    chosen = thresholds.vouch_healthy_below(ill, healthy, detect=0.4)
    assert chosen is None or chosen <= 0.1


@pytest.mark.parametrize(("ill", "healthy"), [([], [0.1]), ([0.9], []), ([0.0] * 10, [0.0] * 10)])
def test_health_is_never_vouched_for_where_the_photos_cannot_say(ill: list[float], healthy: list[float]):
    assert thresholds.vouch_healthy_below(np.array(ill), np.array(healthy), 0.4) is None


def test_reliable_has_the_most_right_verdicts_and_of_equals_is_the_highest():
    assert thresholds.reliable(lambda score: 10 if score <= 0.6 else 9, detect=0.3) == pytest.approx(0.6)


def test_reliable_is_never_below_detect():
    assert thresholds.reliable(lambda score: round(100 * (1 - score)), detect=0.42) == pytest.approx(0.42)
