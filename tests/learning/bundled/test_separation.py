"""AUROC and its intervals against what is known of them, and the brown pixels that a model has to beat."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from leafloop.learning.bundled import separation


@pytest.mark.parametrize(
    ("ill", "healthy", "expected"), [([2, 3], [0, 1], 1.0), ([0, 1], [2, 3], 0.0), ([1, 1], [1, 1], 0.5)]
)
def test_auroc_of_the_clear_cases(ill: list[float], healthy: list[float], expected: float):
    assert separation.auroc(np.array(ill, float), np.array(healthy, float)) == expected


def test_auroc_is_the_mann_whitney_statistic():
    rng = np.random.default_rng(0)
    ill, healthy = rng.integers(0, 8, 40).astype(float), rng.integers(0, 6, 30).astype(float)  # with ties
    expected = mannwhitneyu(ill, healthy).statistic / (40 * 30)
    assert separation.auroc(ill, healthy) == pytest.approx(expected)


def test_the_interval_holds_the_value_and_the_same_seed_gives_the_same():
    rng = np.random.default_rng(1)
    ill, healthy = rng.normal(1, 1, (1, 60)), rng.normal(0, 1, (1, 50))
    (first,), _ = separation.compare(ill, healthy, draws=300)
    (again,), _ = separation.compare(ill, healthy, draws=300)
    assert first == again
    assert first.low < first.value < first.high


def test_two_scores_that_say_the_same_differ_by_nothing():
    rng = np.random.default_rng(2)
    ill, healthy = rng.normal(1, 1, (1, 40)), rng.normal(0, 1, (1, 40))
    _, (above,) = separation.compare(np.repeat(ill, 2, 0), np.repeat(healthy, 2, 0), draws=200)
    assert (above.value, above.low, above.high) == (0, 0, 0)


def test_a_score_that_knows_is_above_one_that_guesses():
    rng = np.random.default_rng(3)
    ill = np.stack([rng.normal(3, 1, 60), rng.normal(0, 1, 60)])
    healthy = np.stack([rng.normal(0, 1, 50), rng.normal(0, 1, 50)])
    _, (above,) = separation.compare(ill, healthy, draws=300)
    assert above.low > 0.2


def test_brown_is_brown_and_green_grey_and_black_are_not():
    colours = [(120, 70, 30), (60, 140, 50), (128, 128, 128), (5, 4, 3)]
    pixels = np.array([[c] * 10 for c in colours], np.uint8)
    assert separation.brown_share(pixels) == pytest.approx(0.25)
