"""Rendered photos tell the truth about themselves."""

from __future__ import annotations

import numpy as np
import pytest

from leafloop.simulation import leaves

SIZE = {"width": 448, "height": 384, "stages": 6}


@pytest.mark.parametrize("view", ["part", "whole"])
def test_the_same_seed_and_size_give_the_same_bytes(view: leaves.View) -> None:
    first, second = (leaves.render(5, view=view, **SIZE) for _ in range(2))
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.xyxy_px.tobytes() == second.xyxy_px.tobytes()
    assert leaves.encode(first, 1) == leaves.encode(second, 1)


def test_another_seed_gives_another_photo() -> None:
    assert leaves.render(1, **SIZE).pixels.tobytes() != leaves.render(2, **SIZE).pixels.tobytes()


@pytest.mark.parametrize("seed", range(6))
def test_each_box_is_the_tight_extent_of_its_lesion_inside_the_photo(seed: int) -> None:
    photo = leaves.render(seed, clean=0, leafless=0, **SIZE)
    assert len(photo.xyxy_px) > 0
    for index, (left, top, right, bottom) in enumerate(photo.xyxy_px):
        rows, columns = np.nonzero(photo.lesion == index + 1)
        assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert left >= 0
        assert top >= 0
        assert right <= SIZE["width"]
        assert bottom <= SIZE["height"]


def test_where_two_lesions_touch_the_boxes_are_tight_round_what_is_seen() -> None:
    photo = leaves.render(12, view="part", clean=0, leafless=0, width=896, height=896, stages=6)
    for index, box in enumerate(photo.xyxy_px.tolist()):
        rows, columns = np.nonzero(photo.lesion == index + 1)
        assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize("seed", range(6))
def test_lesions_lie_on_the_visible_leaf(seed: int) -> None:
    photo = leaves.render(seed, clean=0, leafless=0, **SIZE)
    assert photo.leaf[photo.lesion > 0].all()


def test_a_clean_leaf_has_no_box_and_stage_zero() -> None:
    photo = leaves.render(3, clean=1, leafless=0, **SIZE)
    assert photo.leaf.mean() > 0.1
    assert photo.xyxy_px.shape == (0, 4)
    assert photo.class_id.shape == (0,)
    assert photo.stage == 0
    assert not photo.lesion.any()


def test_surroundings_alone_have_no_leaf_and_no_box() -> None:
    photo = leaves.render(3, clean=0, leafless=1, **SIZE)
    assert not photo.leaf.any()
    assert len(photo.xyxy_px) == 0


def test_every_stage_occurs_and_the_photo_carries_the_latest() -> None:
    seen: set[int] = set()
    for seed in range(24):
        photo = leaves.render(seed, clean=0, leafless=0, **SIZE)
        seen |= set(photo.class_id.tolist())
        assert photo.stage == photo.class_id.max(initial=0)
    assert seen == {1, 2, 3, 4, 5, 6}


def test_fewer_stages_give_no_class_beyond_them() -> None:
    photos = [leaves.render(seed, clean=0, leafless=0, width=384, height=384, stages=2) for seed in range(6)]
    assert {int(one) for photo in photos for one in photo.class_id} == {1, 2}


def test_boxes_do_not_hide_each_other() -> None:
    photo = leaves.render(9, clean=0, leafless=0, width=640, height=640, stages=6)
    for index, one in enumerate(photo.xyxy_px):
        for other in photo.xyxy_px[index + 1 :]:
            across = min(one[2], other[2]) - max(one[0], other[0])
            down = min(one[3], other[3]) - max(one[1], other[1])
            assert min(across, down) <= leaves.OVERLAP_PX


@pytest.mark.parametrize(("width", "stages"), [(40, 6), (256, 0), (256, 7)])
def test_what_cannot_be_rendered_is_refused(width: int, stages: int) -> None:
    with pytest.raises(ValueError, match="cannot render"):
        leaves.render(1, width=width, height=256, stages=stages)
