"""Surroundings, light, noise and blemishes keep their ranges and repeat by seed."""

from __future__ import annotations

import numpy as np
import pytest

from leafloop.simulation import blemishes, scenery, surface, texture


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


def test_noise_is_standard_and_repeats_by_seed() -> None:
    one, two = (texture.noise(np.random.default_rng(8), (300, 400), 1.0) for _ in range(2))
    assert one.shape == (300, 400)
    assert np.array_equal(one, two)
    assert 0.3 < one.std() < 2


def test_noise_larger_than_its_sheet_is_stretched() -> None:
    assert texture.noise(np.random.default_rng(1), (30, 1500), 1.0).shape == (30, 1500)


def test_blending_touches_nothing_where_alpha_is_zero() -> None:
    picture = np.zeros((20, 30, 3), np.float32)
    alpha = np.zeros((20, 30), np.float32)
    alpha[5:8, 10:12] = 0.5
    texture.blend(picture, alpha, np.ones(3, np.float32))
    assert np.array_equal(picture[..., 0], alpha)


@pytest.mark.parametrize("kinds", [blemishes.IN_THE_LEAF, blemishes.ON_THE_LEAF])
def test_blemishes_change_the_leaf_and_nothing_else(kinds: blemishes.Kinds) -> None:
    leaf = surface.pose(np.random.default_rng(0), 200, 200, whole=False)
    for kind in kinds:
        pixels, ground = np.full((200, 200, 3), 120, np.uint8), np.zeros((200, 200), np.float32)
        ground[:, :110] = 1
        spots = np.array([[100.0, 60.0], [90.0, 100.0], [60.0, 140.0]])
        blemishes.sprinkle(np.random.default_rng(5), (kind,), pixels, ground, leaf, spots)
        changed = (pixels != 120).any(-1)
        assert changed[:, :110].any()
        assert not changed[:, 110:].any()
