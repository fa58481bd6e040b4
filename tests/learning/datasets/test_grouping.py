"""Names that tell which photos belong together, and names that only look so."""

from __future__ import annotations

import pytest

from leafloop.errors import RequestInvalid
from leafloop.learning.datasets import grouping
from leafloop.learning.datasets.grouping import Grouped

HASH = 2 * "0123456789abcdef"


def groups(*names: str, expression: str | None = None) -> list[str | None]:
    return [found.group for found in grouping.group(names, expression, "set").photos]


def test_roboflows_copies_of_one_photo_are_one_group():
    found = grouping.group(
        [f"train/images/leaf_jpg.rf.{HASH}.jpg", f"test/images/leaf_jpg.rf.{HASH[::-1]}.jpg"], None, "set"
    )
    assert found.photos == (Grouped("set:leaf", True, "copies of a photo, as Roboflow names them"),) * 2
    assert found.recognised == {"copies of a photo, as Roboflow names them": 2}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("IMG_7_0_256", "IMG_7_256_512"),
        ("a-x0-y224", "a-x224-y0"),
        ("P01__960__1920", "P01__0__0"),
        ("leaf_tile_3", "leaf_tile_12"),
        ("leaf_0_0", "leaf_0_744"),  # the last one, moved back to the photo's edge
        ("leaf_224_0", "leaf_744_494"),
        ("leaf_r0_c1", "leaf_r3_c2"),
        ("leaf_r0c1", "leaf_r0c2"),
        ("leaf-row0-col1", "leaf-row1-col1"),
        ("leaf_0_0_512_512", "leaf_3488_2488_4000_3000"),  # SAHI's corners
        ("leaf_0_0_256_256", "leaf_256_0_256_256"),  # a corner and a size
        ("leaf_1_2", "leaf_1_3"),  # perhaps they count photos: nobody can tell
        ("leaf", "leaf_0_256"),  # the photo itself beside its tiles
    ],
)
def test_tiles_of_a_photo_are_one_group_that_never_tests(one: str, other: str):
    first, second = grouping.group([f"{one}.jpg", f"{other}.png"], None, "set").photos
    assert first == second
    assert (first.group is not None, first.may_test) == (True, False)


def test_tiles_of_roboflows_copies_are_one_group_too():
    assert groups(f"p_0_256_jpg.rf.{HASH}.jpg", "p_256_0.jpg") == ["set:p", "set:p"]


@pytest.mark.parametrize(
    "names",
    [
        ("IMG_20240101_123456.jpg", "IMG_20240101_123500.jpg"),
        ("leaf_1.jpg", "leaf_2.jpg"),
        ("leaf_1_2.jpg", "plant_1_3.jpg"),
        ("train/leaf_1_2.jpg", "test/leaf_1_2.jpg"),
        ("a.jpg", "b.jpg"),
    ],
)
def test_numbers_that_are_no_places_of_tiles_group_nothing(names: tuple[str, ...]):
    assert grouping.group(names, None, "set").photos == (Grouped(None, True, "each photo for itself"),) * 2


def test_every_tile_that_sahi_cuts_is_recognised_alone_too():
    cuts = [(0, 0, 512, 512), (410, 0, 922, 512), (3488, 2488, 4000, 3000), (0, 238, 1080, 750), (1, 2, 257, 258)]
    for cut in cuts:
        assert grouping.group([f"leaf_{'_'.join(map(str, cut))}.jpg"], None, "set").photos == (
            Grouped("set:leaf", False, "tiles of a photo, by their names"),
        )


def test_the_expression_of_the_help_puts_tiles_in_the_folders_of_all_sides_together():
    names = ["train/images/leaf1_0_0.jpg", "valid/images/leaf1_256_0.jpg", "test/images/leaf1_0_256.jpg"]
    assert groups(*names, expression=r"(.+)_\d+_\d+") == ["set:leaf1"] * 3


def test_an_expression_sees_folders_only_where_it_speaks_of_them():
    assert groups("plot7/a.jpg", "plot8/a.jpg", expression=r"(plot\d)/") == ["set:plot7", "set:plot8"]
    assert groups("plot7/a.jpg", expression=r"(plot\d)") == [None]


def test_an_expression_takes_its_named_group_or_its_first():
    assert groups("x/plot7-a.jpg", "x/plot7-b.jpg", expression=r"(plot\d+)-(.)") == ["set:plot7"] * 2
    assert groups("x/plot7-a.jpg", expression=r"x/(plot)(?P<parent>\d+)") == ["set:7"]


def test_what_the_expression_does_not_match_is_alone_and_never_tests():
    assert grouping.group(["a.jpg"], r"(b)", "set").photos == (Grouped(None, False, "not matched by the expression"),)


@pytest.mark.parametrize("expression", ["(", "plot"])
def test_an_expression_that_cannot_be_used_is_refused(expression: str):
    with pytest.raises(RequestInvalid):
        grouping.group(["a.jpg"], expression, "set")


def test_a_long_name_keeps_two_groups_apart():
    one, other = groups("a" * 300 + "1-x.jpg", "a" * 300 + "2-x.jpg", expression=r"(.+)-x")
    assert one is not None
    assert other is not None
    assert len(one) == 200
    assert one != other
