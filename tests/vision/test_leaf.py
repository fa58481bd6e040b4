"""The leaf mask is generous on leaves and leaves out sky, paper and concrete; the real photos measure both."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from leafloop.vision.detection import Pixels
from leafloop.vision.leaf import REACH_PX, overview
from leafloop.vision.photo import read_upload

GREEN, YELLOW, BROWN, GREYISH = (70, 120, 50), (200, 180, 40), (110, 75, 45), (120, 128, 112)
SKY, CONCRETE, PAPER, BLACK = (120, 170, 230), (128, 127, 125), (250, 250, 248), (12, 12, 12)


def half(left: tuple[int, int, int], right: tuple[int, int, int]) -> Pixels:
    """Two colours side by side, 600 x 400, with the grain of a camera."""
    pixels = np.empty((400, 600, 3), np.int16)
    pixels[:, :300], pixels[:, 300:] = left, right
    return np.clip(pixels + np.random.default_rng(1).normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("ground", [SKY, CONCRETE, PAPER, BLACK])
@pytest.mark.parametrize("leaf", [GREEN, YELLOW, GREYISH])
def test_leaf_is_told_from_what_lies_behind_it(leaf: tuple[int, int, int], ground: tuple[int, int, int]) -> None:
    mask = overview(half(leaf, ground)).mask
    middle = mask.shape[1] // 2
    assert mask[:, : middle - 4].mean() > 0.98
    assert mask[:, middle + 20 :].mean() < 0.02


def test_dry_tissue_counts_at_a_leafs_rim_and_soil_alone_does_not() -> None:
    leaf_and_rim = (300 + REACH_PX) / 600
    assert overview(half(GREEN, BROWN)).mask.mean() == pytest.approx(leaf_and_rim, abs=0.02)
    assert overview(half(SKY, BROWN)).mask.sum() == 0


def test_black_and_grey_spots_inside_a_leaf_count() -> None:
    pixels = half(GREEN, GREEN)
    cv2.ellipse(pixels, (200, 200), (60, 10), 20, 0, 360, BLACK, -1)
    cv2.ellipse(pixels, (400, 150), (50, 8), 20, 0, 360, CONCRETE, -1)
    assert overview(pixels).mask.mean() > 0.98


def test_a_photo_without_green_has_no_leaf() -> None:
    for ground in (SKY, CONCRETE, PAPER, BLACK):
        assert overview(half(ground, ground)).mask.sum() == 0


@pytest.mark.parametrize(("height", "width"), [(1, 1), (32, 32), (40, 300), (513, 512), (3000, 4000)])
def test_factor_leads_from_the_mask_to_the_photo(height: int, width: int) -> None:
    seen = overview(np.full((height, width, 3), GREEN, np.uint8))
    assert seen.factor == max(1.0, max(height, width) / 512)
    assert abs(seen.mask.shape[0] * seen.factor - height) <= seen.factor
    assert abs(seen.mask.shape[1] * seen.factor - width) <= seen.factor


def test_most_of_every_real_leaf_is_in_the_mask(shared: Path) -> None:
    """Banana leaves fill these photos, so most of the frame must be leaf; dead leaves are grey and brown all over."""
    for folder, least in (("healthy", 0.9), ("black_sigatoka", 0.8), ("cordana", 0.8), ("sigatoka", 0.35)):
        files = sorted((shared / "data/banana" / folder).glob("*.jpg"))
        shares = [overview(read_upload(file.read_bytes()).pixels).mask.mean() for file in files]
        assert min(shares) > least, folder
        assert np.median(shares) > 0.9, folder
