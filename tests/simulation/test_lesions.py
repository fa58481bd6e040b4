"""A lesion is drawn where it can be seen, looks like its stage, and reports exactly what it painted."""

from __future__ import annotations

import numpy as np
import pytest

from leafloop.simulation import lesions, surface

SIDE = 160
GREEN = (70, 130, 50)
# A flat leaf whose veins run down the photo.
FLAT = surface.Pose(
    centre=(80, 80), angle=0.0, tilt=(0.0, 0.0), offset=(0.0, 500.0), bend=0.0, half_width=1000.0,
    half_length=surface.ENDLESS, vein_slope=0.0, vein_sweep=0.0,
)  # fmt: skip


def draw(look: int, seed: int, *, visible: np.ndarray | None = None, middle: float = 80) -> lesions.Lesion | None:
    everywhere = np.ones((SIDE, SIDE), np.float32)
    return lesions.draw(
        np.random.default_rng(seed), lesions.LOOKS[look], FLAT, (middle, 80), 1.0,
        pixels=np.full((SIDE, SIDE, 3), GREEN, np.uint8), visible=everywhere if visible is None else visible,
        shade=everywhere,
    )  # fmt: skip


def drawn(look: int) -> list[lesions.Lesion]:
    found = [lesion for seed in range(12) if (lesion := draw(look, seed)) is not None]
    assert len(found) >= 6
    return found


def tones(lesion: lesions.Lesion) -> np.ndarray:
    return lesion.pixels[lesion.mask]


def box(lesion: lesions.Lesion) -> tuple[int, int, int, int]:
    return lesions.extent(lesion.mask, lesion.patch)


def sides(lesion: lesions.Lesion) -> tuple[int, int]:
    left, top, right, bottom = box(lesion)
    return right - left, bottom - top


@pytest.mark.parametrize("look", range(6))
def test_the_box_is_the_extent_of_what_differs_strongly_from_the_leaf(look: int) -> None:
    for lesion in drawn(look):
        left, top, right, bottom = box(lesion)
        rows, columns = np.nonzero(lesion.mask)
        assert (left, right) == (lesion.patch.left + columns.min(), lesion.patch.left + columns.max() + 1)
        assert (top, bottom) == (lesion.patch.top + rows.min(), lesion.patch.top + rows.max() + 1)
        change = np.abs(lesion.pixels - np.array(GREEN) / 255).sum(-1)
        assert change[lesion.mask].mean() >= lesions.FAINTEST


@pytest.mark.parametrize("look", range(6))
def test_no_box_is_smaller_than_can_be_labelled(look: int) -> None:
    assert min(min(sides(lesion)) for lesion in drawn(look)) >= lesions.SMALLEST_BOX_PX


@pytest.mark.parametrize("look", [1, 2, 3, 4, 5])
def test_lesions_lie_along_the_veins(look: int) -> None:
    widths, heights = zip(*(sides(lesion) for lesion in drawn(look)), strict=True)
    assert np.mean(heights) > 1.2 * np.mean(widths)


def test_each_stage_can_be_told_from_the_others_by_colour_and_shape() -> None:
    brightness = [float(np.mean([tones(lesion).mean() for lesion in drawn(look)])) for look in range(6)]
    length = [float(np.mean([max(sides(lesion)) for lesion in drawn(look)])) for look in range(6)]
    assert brightness[0] > brightness[1] > brightness[2] > brightness[3]  # pale, rusty, brown, black
    assert length[2] > 2 * length[1]  # streaks grow
    assert brightness[5] > 1.5 * brightness[4]  # the centre dries and pales


def test_the_halo_is_beside_the_box_and_reaches_farther_along_the_veins() -> None:
    for lesion in drawn(4):
        left, top, right, bottom = box(lesion)
        halo = lesion.extent_px
        assert halo[0] < left
        assert halo[3] > bottom
        assert (top - halo[1]) + (halo[3] - bottom) > (left - halo[0]) + (halo[2] - right)


def test_a_lesion_mostly_hidden_is_not_drawn() -> None:
    half = np.ones((SIDE, SIDE), np.float32)
    half[80:] = 0
    assert all(draw(3, seed, visible=half) is None for seed in range(8))


def test_a_lesion_partly_hidden_is_boxed_where_it_is_seen() -> None:
    edge = np.ones((SIDE, SIDE), np.float32)
    edge[88:] = 0
    found = [lesion for seed in range(20) if (lesion := draw(3, seed, visible=edge)) is not None]
    assert found
    assert all(box(lesion)[3] <= 88 for lesion in found)


def test_a_lesion_cut_by_the_frame_is_not_drawn() -> None:
    assert all(draw(3, seed, middle=2) is None for seed in range(8))


def test_a_spot_that_would_hardly_show_is_not_drawn() -> None:
    everywhere = np.ones((SIDE, SIDE), np.float32)
    black = np.full((SIDE, SIDE, 3), 15, np.uint8)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        spot = lesions.draw(
            rng, lesions.LOOKS[3], FLAT, (80, 80), 1.0, pixels=black, visible=everywhere, shade=everywhere
        )
        assert spot is None
