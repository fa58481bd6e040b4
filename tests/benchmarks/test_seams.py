"""What is said of seams: a count that moves with the grid is seen, one that does not is not."""

from __future__ import annotations

import numpy as np
from benchmarks import seams

from leafloop.learning.bundled.rendered import Shot
from leafloop.vision import merge


def shot(*boxes: tuple[float, float, float, float]) -> Shot:
    return Shot(b"", np.ones(len(boxes), np.int64), np.array(boxes, np.float32), 1)


def test_the_canvas_has_room_for_every_offset():
    grid = seams.canvas(1000, 800)
    assert all(x + 1000 <= grid.width and y + 800 <= grid.height for x, y in seams.OFFSETS)


def test_the_exact_detector_sees_a_lesion_in_each_tile_that_shows_it_and_never_past_the_tiles_edge():
    grid = seams.canvas(800, 600)
    found = seams.exact(shot((200, 100, 260, 140)), seed=1)(grid, 0, 0)
    rects = grid.xyxy_px[found.tile]
    assert len(found.tile) >= 2
    assert (found.xyxy_px[:, :2] >= rects[:, :2]).all()
    assert (found.xyxy_px[:, 2:] <= rects[:, 2:]).all()


def test_merging_that_knows_the_seams_counts_each_lesion_once_at_every_offset():
    truth = shot((200, 100, 260, 140), (400, 300, 420, 330), (10, 10, 60, 50))
    by_way = seams.counts(seams.exact(truth, seed=2), 800, 600, {"ours": lambda f, g: len(merge.merge(f, g, iou=0.5))})
    assert by_way == {"ours": [3] * len(seams.OFFSETS)}


def test_figures_say_how_many_photos_changed_how_far_and_how_wrong():
    told = seams.figures([(10, {"steady": [10, 10], "shaky": [10, 12]}), (10, {"steady": [9, 9], "shaky": [10, 10]})])
    assert told["steady"] == {"changed": 0.0, "changed_a_shift": 0.0, "moved": 0.0, "wrong": 0.05}
    assert told["shaky"] == {"changed": 0.5, "changed_a_shift": 0.5, "moved": 0.1, "wrong": 0.05}
