"""Quality is measured at one scale and said in words; real photos pass, hopeless ones are flagged."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests import hostile

from leafloop.vision import quality
from leafloop.vision.detection import Pixels
from leafloop.vision.leaf import overview
from leafloop.vision.photo import read_upload
from leafloop.vision.quality import MESSAGES, Quality


def measure(pixels: Pixels) -> Quality:
    return quality.measure(overview(pixels))


def codes(pixels: Pixels) -> set[str]:
    return {warning.code for warning in measure(pixels).warnings}


def leaf() -> Pixels:
    return np.array(hostile.photo())


def test_a_good_photo_has_no_warning_and_tells_its_size() -> None:
    found = measure(leaf())
    assert found.warnings == ()
    assert (found.width, found.height) == (480, 360)
    assert found.leaf_fraction > 0.95


@pytest.mark.parametrize("case", [case for case in hostile.READ if case.warning], ids=str)
def test_hopeless_photos_are_flagged(case: hostile.Case) -> None:
    assert case.warning in codes(read_upload(case.make()).pixels)


@pytest.mark.parametrize(
    ("name", "code"), [("black", "too_dark"), ("white", "too_bright"), ("blur", "blurred"), ("noise", "noisy")]
)
def test_hopeless_files_are_flagged(shared: Path, name: str, code: str) -> None:
    assert code in codes(read_upload((shared / f"data/nasty/{name}.jpg").read_bytes()).pixels)


def test_a_picture_without_leaf_is_told_so() -> None:
    grey = np.random.default_rng(1).integers(60, 190, (100, 150, 1), np.uint8).repeat(3, axis=2)
    assert codes(cv2.resize(grey, (600, 400))) == {"no_leaf"}


def test_a_thumbnail_is_called_small() -> None:
    assert codes(leaf()[:200]) == {"small"}


def test_dusk_and_glare_are_flagged_on_a_real_scene() -> None:
    assert "too_dark" in codes((leaf() * 0.3).astype(np.uint8))
    assert "too_bright" in codes((255 - (255 - leaf().astype(float)) * 0.15).astype(np.uint8))


@pytest.mark.parametrize("side", [4000, 2000, 1024, 700])
def test_a_big_and_a_small_copy_of_one_photo_measure_alike(side: int) -> None:
    # Soft enough that the smaller copy has lost nothing: what is left to differ is how we shrink.
    source = cv2.GaussianBlur(cv2.resize(leaf(), (4000, 3000), interpolation=cv2.INTER_CUBIC), (0, 0), 8)
    big, small = measure(source), measure(cv2.resize(source, (side, side * 3 // 4), interpolation=cv2.INTER_AREA))
    assert small.sharpness == pytest.approx(big.sharpness, rel=0.15)
    assert small.brightness == pytest.approx(big.brightness, abs=1)
    assert small.leaf_fraction == pytest.approx(big.leaf_fraction, abs=0.02)
    assert small.warnings == big.warnings


def test_blurring_a_photo_lowers_its_sharpness_step_by_step() -> None:
    steps = [measure(cv2.GaussianBlur(leaf(), (0, 0), sigma)).sharpness for sigma in (0.5, 1, 2, 4, 8)]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] < quality.MIN_SHARPNESS


def test_real_photos_are_not_called_bad(shared: Path) -> None:
    """Of 520 real photos only small ones are flagged: BananaLSD's have 224 pixels."""
    files = (
        sorted((shared / "data/banana").glob("*/*.jpg"))[::3]
        + sorted((shared / "data/plantdoc").glob("*/images/*"))[::4]
    )
    flagged = [file.name for file in files if codes(read_upload(file.read_bytes()).pixels) - {"small"}]
    assert len(files) > 150
    assert flagged == []


def test_every_word_for_the_person_says_what_to_do() -> None:
    for code, message in MESSAGES.items():
        assert code.isidentifier()
        assert ": " in message
        assert message.endswith(".")
