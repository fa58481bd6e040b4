"""Noise and blending: the ground that every rendered pixel stands on."""

from __future__ import annotations

import numpy as np

from leafloop.simulation import texture


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
