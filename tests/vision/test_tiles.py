"""Tiles: full size, evenly spread, overlapping enough, nothing enlarged; skipped only where leaf is far."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leafloop.simulation import leaves
from leafloop.vision import leaf, tiles

SIDES = st.integers(1, 1500)


@settings(max_examples=100, deadline=None)
@given(width=SIDES, height=SIDES, size=st.sampled_from([64, 128, 256]), overlap=st.integers(0, 63))
def test_every_pixel_is_in_a_full_tile_and_neighbours_share_the_overlap(width, height, size, overlap):
    laid = tiles.grid(width, height, size=size, overlap=overlap)
    assert (laid.xyxy_px[:, 2:] - laid.xyxy_px[:, :2] == size).all()
    for axis, length in ((0, width), (1, height)):
        starts = np.unique(laid.xyxy_px[:, axis])
        assert starts[0] == 0
        assert length <= size or starts[-1] + size == length
        gaps = np.diff(starts)
        assert (size - gaps >= overlap).all(), "neighbours share at least the overlap"
        assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1, "and they are spread evenly"


def test_the_usual_field_photo_gives_252_tiles_and_none_is_a_thin_strip():
    assert len(tiles.grid(4000, 3000)) == 18 * 14
    assert len(tiles.grid(257, 256)) == 2


def test_cut_tiles_hold_the_photos_own_pixels():
    pixels = np.random.default_rng(0).integers(0, 255, (300, 500, 3), dtype=np.uint8)
    laid = tiles.grid(500, 300, size=128, overlap=16)
    for tile, (x1, y1, x2, y2) in zip(tiles.cut(pixels, laid), laid.xyxy_px, strict=True):
        assert (tile == pixels[y1:y2, x1:x2]).all()


def test_cut_takes_a_choice_of_tiles_in_the_order_asked_for():
    pixels = np.random.default_rng(0).integers(0, 255, (300, 500, 3), dtype=np.uint8)
    laid = tiles.grid(500, 300, size=128, overlap=16)
    assert (tiles.cut(pixels, laid, np.array([5, 2])) == tiles.cut(pixels, laid)[[5, 2]]).all()
    assert tiles.cut(pixels, laid, np.array([], np.int64)).shape == (0, 128, 128, 3)


def test_a_photo_smaller_than_a_tile_is_padded_with_grey_and_not_enlarged():
    pixels = np.full((40, 300, 3), 9, np.uint8)
    cut = tiles.cut(pixels, tiles.grid(300, 40))
    assert len(cut) == 2
    assert (cut[:, :40] == 9).all()
    assert (cut[:, 40:] == tiles.PAD_VALUE).all()


@pytest.mark.parametrize("wrong", [(0, 10, 256, 32), (10, 0, 256, 32), (10, 10, 256, 256), (10, 10, 256, -1)])
def test_a_grid_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="no grid"):
        tiles.grid(wrong[0], wrong[1], size=wrong[2], overlap=wrong[3])


def test_a_photo_that_is_not_the_grids_photo_is_refused():
    with pytest.raises(ValueError, match="this grid is for"):
        tiles.cut(np.zeros((10, 10, 3), np.uint8), tiles.grid(20, 10))


def test_tiles_far_from_any_leaf_may_be_skipped_and_those_near_it_never():
    laid = tiles.grid(2000, 1000)
    mask = np.zeros((125, 250), np.bool_)
    mask[:, :50] = True  # leaf on the left fifth: photo pixels 0 to 400, of 8 x 8 a mask pixel
    kept = tiles.with_leaf(laid, mask, 8)
    assert (kept == (laid.xyxy_px[:, 0] < 400 + 96)).all()
    assert kept.any()
    assert not kept.all()


def test_a_mask_that_sees_next_to_no_leaf_is_not_believed():
    laid = tiles.grid(2000, 1000)
    mask = np.zeros((125, 250), np.bool_)
    mask[3, 3] = True
    assert tiles.with_leaf(laid, mask, 8).all()
    assert tiles.with_leaf(laid, np.zeros((0, 0), np.bool_), 8).all()


def test_no_lesion_of_a_rendered_photo_lies_in_a_tile_that_is_skipped():
    """Leaves of every pose, with their exact boxes: skipping saves tiles and loses nothing."""
    skipped = lesions = 0
    for seed in (2, 6, 12):
        rendered = leaves.render(seed, width=800, height=600, stages=6)
        grid = tiles.grid(800, 600, size=96, overlap=16)
        seen = leaf.overview(rendered.pixels)
        kept = tiles.with_leaf(grid, seen.mask, seen.factor)
        skipped += int((~kept).sum())
        lesions += len(rendered.xyxy_px)
        for x1, y1, x2, y2 in rendered.xyxy_px:
            left, top, right, bottom = grid.xyxy_px.T
            assert kept[(left < x2) & (right > x1) & (top < y2) & (bottom > y1)].all()
    assert lesions > 30, "the photos have something to lose"
    assert skipped > 0, "and something is saved"
