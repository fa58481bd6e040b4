"""Surroundings and light keep their ranges."""

from __future__ import annotations

import numpy as np
import pytest

from leafloop.simulation import scenery


@pytest.mark.parametrize("ground", range(len(scenery.GROUNDS)))
def test_every_ground_fills_the_picture(ground: int) -> None:
    picture = np.full((80, 120, 3), np.nan, np.float32)
    scenery.GROUNDS[ground](np.random.default_rng(1), picture)
    assert np.isfinite(picture).all()
    assert picture.std() > 0.001


def test_shares_of_grounds_sum_to_one() -> None:
    assert len(scenery.SHARES) == len(scenery.GROUNDS)
    assert sum(scenery.SHARES) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(6))
def test_background_and_light_stay_in_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture, shade = scenery.background(rng, 90, 70), scenery.light(rng, 90, 70)
    assert picture.shape == (90, 70, 3)
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert shade.min() >= 0.45
    assert shade.max() <= 1.5


def test_what_stands_in_front_covers_a_part_and_paints_only_near_it() -> None:
    picture = np.full((200, 200, 3), 0.5, np.float32)
    cover = scenery.front(np.random.default_rng(3), picture)
    assert 0.005 < (cover > 0.5).mean() < 0.6
    assert (np.abs(picture - 0.5).sum(-1)[cover > 0.9] > 0.01).mean() > 0.8
