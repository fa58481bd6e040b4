"""Marks that are not lesions stay where they may be."""

from __future__ import annotations

import numpy as np
import pytest

from leafloop.simulation import blemishes, surface


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
