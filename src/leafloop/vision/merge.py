"""Makes one list of objects out of what was found in overlapping tiles; knows rectangles and seams, not models or photos.

The usual ways (NMS, or the union of all that overlaps) count a lesion twice when a tile's edge cuts it, lose a part of it, or
swallow a small lesion that lies on a large one. The reason is that they do not know where the cuts are. Here each box knows:

- *Same object*: two boxes of different, overlapping tiles are one object when they agree on the band that both tiles saw.
  If neither was cut there, both saw it whole: they are duplicates when class and place agree, and the stronger one stays.
  If at least one was cut, they are pieces, joined to their union, when on the band (a) they cover the same, or (b) the piece
  lies within the other, or (c) both are cut at facing edges and share along the seam what a straight streak would.
  Places agree when the boxes overlap enough, or, since a pixel is much of a small box, when their edges are a few pixels apart.
- *At most one each*: an object is at most one box in a tile. Pairs are matched best first, one to one for each two tiles, and
  boxes that one tile saw side by side never become one, whatever chain of other tiles would lead there.
- *Chains*: a lesion across four tiles, or around a corner, is joined through all of them.

A joined object has the class with the largest sum of confidence x area over its pieces, and the highest confidence that a
piece of that class has (as in NMS, where the best view of an object speaks for it; thin slivers score low and say little).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leafloop.vision.detection import Detection, IntArray, TileDetections
from leafloop.vision.tiles import Grid

EDGE_PX = 3.0  # a box that ends this close to its tile's edge was cut there: boxes are right to 1-2 pixels, and cuts are sharp
# Share of the band in common to two views: the usual bar for "the same box", on the part that both tiles saw.
SEEN_THE_SAME = 0.5
# Two views whose edges on the band differ by no more are one: two looks, each edge wrong by up to 3 pixels and seldom both so much.
# Without it, lesions of 9 to 20 pixels were now and then counted twice: a pixel's error is half their overlap.
ALIKE_PX = 5.0
# Share of a cut piece inside the other view, for slivers. Measured, boxes wrong by 2 px: 0.5 miscounts 1.3 %, 0.7 does 1.9 %.
INSIDE = 0.5
# Share of the overlap along the seam that a straight streak from corner to corner of both boxes would have.
STREAK = 0.5

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def merge(found: TileDetections, grid: Grid, *, iou: float) -> list[Detection]:
    """One list of objects in photo pixels, strongest first. The same for any order of the input, to the bit.

    `iou`: from which overlap two whole views with one class are duplicates; the bundle's own, as inside a tile.
    """
    order = np.lexsort((*found.xyxy_px.T, found.class_id, -found.confidence, found.tile))
    boxes = found.xyxy_px[order].astype(np.float64)
    tile, classes = found.tile[order], found.class_id[order]
    views = list(zip(boxes.tolist(), found.confidence[order].tolist(), classes.tolist(), strict=True))
    groups = _groups(tile.tolist(), *_same_object(boxes, tile, classes, grid, iou))
    objects = [
        _joined([views[m] for m in members]) if cut else _strongest([views[m] for m in members])
        for members, cut in groups
    ]
    return sorted(objects, key=lambda o: (-o.confidence, o.xyxy_px, o.class_id))


def _same_object(
    boxes: Floats, tile: IntArray, classes: IntArray, grid: Grid, iou: float
) -> tuple[IntArray, IntArray, Bools]:
    """Pairs i < j that may be one object, those that agree best first, and which of them are pieces (else duplicates)."""
    i, j = _meeting(boxes, tile, grid)
    rect = grid.xyxy_px.astype(np.float64)
    first, second, band = boxes[i], boxes[j], _shared(rect[tile[i]], rect[tile[j]])
    cuts_i, cuts_j = _cuts(first, rect[tile[i]], rect[tile[j]]), _cuts(second, rect[tile[j]], rect[tile[i]])
    cut_i, cut_j = cuts_i.any(axis=1), cuts_j.any(axis=1)
    part_i, part_j = _part(first, rect[tile[i]], cuts_i, band), _part(second, rect[tile[j]], cuts_j, band)
    seen_i, seen_j, both = _area(part_i), _area(part_j), _area(_shared(part_i, part_j))
    agree = both / (seen_i + seen_j - both)
    alike = np.abs(part_i - part_j).max(axis=1, initial=0) <= ALIKE_PX
    inside = (cut_i & (both >= INSIDE * seen_i)) | (cut_j & (both >= INSIDE * seen_j))
    streak = _streak(first, second, band, cuts_i, cuts_j)
    pieces = (cut_i | cut_j) & ((agree >= SEEN_THE_SAME) | alike | inside | streak)
    twice = ~(cut_i | cut_j) & (classes[i] == classes[j]) & ((_iou(first, second) >= iou) | alike)
    keep = np.flatnonzero(pieces | twice)
    keep = keep[np.lexsort((j[keep], i[keep], -agree[keep]))]
    return i[keep], j[keep], pieces[keep]


def _meeting(boxes: Floats, tile: IntArray, grid: Grid) -> tuple[IntArray, IntArray]:
    """All pairs i < j from two overlapping tiles whose boxes meet inside what both tiles saw. `tile` is sorted."""
    used, start, count = np.unique(tile, return_index=True, return_counts=True)
    rect = grid.xyxy_px[used].astype(np.float64)
    p, q = np.nonzero(np.triu(_area(_shared(rect[:, None], rect[None])) > 0, 1))
    band = _shared(rect[p], rect[q])
    sides = []
    for side in (p, q):  # (number of the tile pair, box) of every box that reaches into the pair's band
        pair, box = _expand(start[side], count[side])
        reaches = _area(_shared(boxes[box], band[pair])) > 0
        sides.append((pair[reaches], box[reaches]))
    (pair, box), (other_pair, other_box) = sides
    begin, end = (np.searchsorted(other_pair, pair, side) for side in ("left", "right"))
    row, at = _expand(begin, end - begin)
    i, j = box[row], other_box[at]
    meet = _area(_shared(_shared(boxes[i], boxes[j]), band[pair[row]])) > 0
    return i[meet], j[meet]


def _expand(start: IntArray, count: IntArray) -> tuple[IntArray, IntArray]:
    """For row k the numbers start[k] to start[k] + count[k] - 1, all rows in one: (k, number)."""
    row = np.repeat(np.arange(len(count)), count)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(start, count)


def _shared(a: Floats, b: Floats) -> Floats:
    return np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1)


def _area(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def _iou(a: Floats, b: Floats) -> Floats:
    both = _area(_shared(a, b))
    return np.asarray(both / (_area(a) + _area(b) - both))


def _cuts(boxes: Floats, tile: Floats, other: Floats) -> Bools:
    """Which edges of its tile cut a box, of those that lie within the other tile: bool [n, 4] (left, top, right, bottom).

    The photo's border is the edge of both tiles, so it lies within neither and cuts nothing.
    """
    near = np.concatenate([boxes[:, :2] <= tile[:, :2] + EDGE_PX, boxes[:, 2:] >= tile[:, 2:] - EDGE_PX], axis=1)
    within = (tile > np.tile(other[:, :2], 2)) & (tile < np.tile(other[:, 2:], 2))
    return np.asarray(near & within)


def _part(boxes: Floats, tile: Floats, cuts: Bools, band: Floats) -> Floats:
    """What of each box lies on the band. A box that was cut reaches to the edge that cut it, wherever the detector let it end."""
    return _shared(np.where(cuts, tile, boxes), band)


def _streak(a: Floats, b: Floats, band: Floats, cuts_a: Bools, cuts_b: Bools) -> Bools:
    """Whether two boxes are cut at facing edges and continue each other.

    A slanting streak fills only a corner of the box of each piece, so the boxes' views of the band differ. A straight streak
    that is `long` across the seam and `high` along it rises by high / long a pixel: over the band by width * high / long.
    """
    same = np.zeros(len(a), np.bool_)
    for across, along in ((0, 1), (1, 0)):
        facing = (cuts_a[:, across + 2] & cuts_b[:, across]) | (cuts_a[:, across] & cuts_b[:, across + 2])
        rise = [(x[:, along + 2] - x[:, along]) / np.maximum(x[:, across + 2] - x[:, across], 1) for x in (a, b)]
        overlap = np.minimum(a[:, along + 2], b[:, along + 2]) - np.maximum(a[:, along], b[:, along])
        width = band[:, across + 2] - band[:, across]
        same |= facing & (overlap >= STREAK * width * np.minimum(*rise))
    return same


def _groups(tile: list[int], i: IntArray, j: IntArray, pieces: Bools) -> list[tuple[list[int], bool]]:
    """Join pairs, best first, into groups with at most one box of each tile: (boxes, whether the group is made of pieces)."""
    group: list[tuple[list[int], set[int]]] = [([k], {t}) for k, t in enumerate(tile)]
    cut = [False] * len(tile)  # of a group, kept at its first box
    for a, b, piece in zip(i.tolist(), j.tolist(), pieces.tolist(), strict=True):
        (boxes, tiles), (more, more_tiles) = group[a], group[b]
        if tiles & more_tiles:
            continue
        cut[boxes[0]] |= piece or cut[more[0]]
        boxes += more
        tiles |= more_tiles
        for k in more:
            group[k] = group[a]
    return [(boxes, cut[k]) for k, (boxes, _) in enumerate(group) if boxes[0] == k]


_View = tuple[list[float], float, int]  # box, confidence, class


def _strongest(views: list[_View]) -> Detection:
    box, confidence, class_id = min(views, key=lambda v: (-v[1], v[0]))
    return Detection(class_id, confidence, (box[0], box[1], box[2], box[3]))


def _joined(views: list[_View]) -> Detection:
    weight: dict[int, float] = {}
    for (x1, y1, x2, y2), confidence, class_id in sorted(
        views
    ):  # one order of adding, so that sums are equal to the bit
        weight[class_id] = weight.get(class_id, 0.0) + confidence * (x2 - x1) * (y2 - y1)
    winner = min(weight, key=lambda c: (-weight[c], c))
    left, top, right, bottom = zip(*(box for box, _, _ in views), strict=True)
    return Detection(winner, max(c for _, c, k in views if k == winner), (min(left), min(top), max(right), max(bottom)))
