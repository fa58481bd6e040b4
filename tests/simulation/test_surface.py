"""Where a pixel lies on the leaf, and what the blade covers."""

from __future__ import annotations

import numpy as np
import pytest

from leafloop.simulation import surface


def pose(seed: int, *, whole: bool) -> surface.Pose:
    return surface.pose(np.random.default_rng(seed), 320, 240, whole=whole)


@pytest.mark.parametrize("seed", range(5))
def test_moving_along_a_vein_stays_on_it(seed: int) -> None:
    leaf = pose(seed, whole=False)
    x, y = surface.grid(320, 240, 1)
    along, across = leaf.frame(x, y, (150.0, 110.0))
    on_vein = (np.abs(across) < 0.5) & (np.abs(along) < 15)
    assert on_vein.sum() > 15
    veins = leaf.vein_at(x, y)
    near_middle = veins[110, 150]
    assert np.abs(veins[on_vein] - near_middle).max() < 2


def test_the_frame_has_its_zero_in_the_middle_and_counts_pixels() -> None:
    leaf = pose(3, whole=False)
    x, y = surface.grid(320, 240, 1)
    along, across = leaf.frame(x, y, (150.0, 110.0))
    assert abs(along[110, 150]) < 1e-3
    assert abs(across[110, 150]) < 1e-3
    distance = np.hypot(along, across)[110, 140:160]
    assert np.allclose(distance, np.abs(np.arange(140, 160) - 150), atol=1.5)


@pytest.mark.parametrize("seed", range(4))
def test_living_tissue_is_a_part_of_the_covered(seed: int) -> None:
    x, y = surface.grid(320, 240, 1)
    blade = surface.blade(np.random.default_rng(seed), pose(seed, whole=True), x, y)
    assert blade.picture.shape == (240, 320, 3)
    assert 0.05 < blade.cover.mean() < 1
    assert (blade.living <= blade.cover + 1e-6).all()
    assert blade.living.mean() < blade.cover.mean()  # the midrib is not living lamina


@pytest.mark.parametrize(("width", "height", "step"), [(100, 60, 1), (101, 61, 2), (4000, 3000, 3)])
def test_the_base_grid_covers_the_photo_evenly(width: int, height: int, step: int) -> None:
    x, y = surface.grid(width, height, step)
    assert np.isclose(x[0].mean(), (width - 1) / 2, atol=1e-2)
    assert np.isclose(y[:, 0].mean(), (height - 1) / 2, atol=1e-2)
    assert np.allclose(np.diff(x[0]), width / x.shape[1], atol=1e-2)


def test_leaf_colours_are_green_or_grey_never_the_colour_of_a_lesion() -> None:
    rng = np.random.default_rng(0)
    colours = np.array([surface.leaf_colour(rng) for _ in range(300)])
    assert (colours[:, 1] >= colours[:, 0] - 0.03).all()  # green is never much below red
    assert colours.max(1).min() > 0.2  # none is as dark as a spot
