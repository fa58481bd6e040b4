"""Photo in, verdict out, with a real (tiny) model: across tiles, in whole-photo mode, on rendered leaves."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from tests.tiny_models import photo, tiny_bundle

from leafloop.errors import BundleRejected
from leafloop.vision.reader import Reader

BLOBS = (
    (1, (30, 40, 60, 90)),
    (3, (200, 100, 700, 130)),
    (5, (440, 300, 520, 390)),
)  # the second lies across three tiles


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(tiny_bundle(tmp_path_factory.mktemp("reader") / "b"), precision="f32")


def test_a_photo_gives_its_lesions_once_each_and_the_most_advanced_as_verdict(reader: Reader):
    reading = reader.read(photo(900, 600, *BLOBS))
    found = sorted((d.class_id, tuple(round(v) for v in d.xyxy_px)) for d in reading.detections)
    assert found == sorted(BLOBS)
    assert (reading.verdict.outcome, reading.verdict.class_id, reading.verdict.reliable) == ("diseased", 5, True)
    assert reading.verdict.advice == reader.bundle.taxonomy.advice_for(5)
    assert reading.tiles_looked_at == reading.tiles_in_all == 12
    assert set(reading.timings_ms) == {"quality", "tile", "infer", "merge", "verdict"}


def test_leaf_on_which_nothing_is_found_is_healthy_when_the_model_may_vouch_for_it(reader: Reader, tmp_path: Path):
    assert reader.read(photo(500, 400)).verdict.outcome == "healthy"
    shy = Reader(tiny_bundle(tmp_path / "b", thresholds={"vouch_healthy_below": None}), precision="f32")
    assert shy.read(photo(500, 400)).verdict.outcome == "uncertain"


def test_weak_finds_are_listed_only_when_asked_for_and_still_speak_against_health(reader: Reader):
    weak = photo(500, 400, (1, (100, 100, 140, 140)), fade=52)  # scores 0.18
    assert reader.read(weak).detections == []
    assert reader.read(weak).verdict.outcome == "uncertain"
    assert [d.class_id for d in reader.read(weak, floor=0.05).detections] == [1]


@pytest.mark.parametrize("ruin", ["dark", "blurred", "noise"])
def test_a_photo_that_shows_too_little_gets_no_class_whatever_is_found(reader: Reader, ruin: str):
    pixels = photo(900, 600, *BLOBS)
    if ruin == "dark":
        pixels = (pixels * 0.1).astype(np.uint8)
    elif ruin == "blurred":
        pixels = cv2.GaussianBlur(pixels, (0, 0), 40)
    else:
        pixels = np.random.default_rng(0).integers(0, 256, pixels.shape, dtype=np.uint8)
    verdict = reader.read(pixels).verdict
    assert (verdict.outcome, verdict.class_id, verdict.advice) == ("uncertain", None, None)


def test_a_frame_without_leaf_is_no_leaf_and_every_tile_was_looked_at(reader: Reader):
    road = np.random.default_rng(0).integers(118, 139, (600, 900, 1), dtype=np.uint8).repeat(3, axis=2)
    reading = reader.read(road)
    assert (reading.verdict.outcome, reading.verdict.class_name) == ("no_leaf", None)
    assert reading.tiles_looked_at == reading.tiles_in_all


def test_tiles_far_from_leaf_are_not_looked_at_and_the_answer_is_the_same(reader: Reader):
    pixels = np.random.default_rng(0).integers(118, 139, (700, 2600, 1), dtype=np.uint8).repeat(3, axis=2)
    pixels[:, :900] = photo(900, 700, *BLOBS)
    reading = reader.read(pixels)
    assert reading.tiles_looked_at <= reading.tiles_in_all / 2
    assert sorted(d.class_id for d in reading.detections) == [1, 3, 5]


@pytest.mark.parametrize("size", [416, 640, 736])
def test_a_model_for_whole_photos_gives_boxes_in_photo_pixels(tmp_path: Path, size: int):
    whole = tiny_bundle(tmp_path / "b", input={"size": size}, tiling={"mode": "whole", "overlap": 0})
    pixels = photo(2000, 1500, (3, (400, 300, 800, 500)), (5, (1700, 1200, 2000, 1500)))
    reading = Reader(whole, precision="f32").read(pixels)
    assert (reading.tiles_looked_at, reading.tiles_in_all) == (1, 1)
    found = {d.class_id: d.xyxy_px for d in reading.detections}
    assert found[3] == pytest.approx((400, 300, 800, 500), abs=8)  # a pixel of the input is up to five of the photo
    assert found[5] == pytest.approx((1700, 1200, 2000, 1500), abs=8)
    assert max(found[5]) <= 2000


def test_readers_are_safe_to_call_from_threads(reader: Reader):
    pixels = photo(600, 400, *BLOBS[:1])
    wanted, got = reader.read(pixels).detections, []
    threads = [threading.Thread(target=lambda: got.append(reader.read(pixels).detections)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == [wanted] * 4


def test_a_model_must_answer_its_self_test_as_it_did_when_it_was_made(tmp_path: Path):
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(photo(500, 400, (2, (100, 100, 200, 200)))), quality=95)
    right = {"photo": "selftest.jpg", "class_name": "Stage2", "outcome": "diseased"}
    Reader(tiny_bundle(tmp_path / "right", {"selftest.jpg": jpeg}, selftest=right), precision="f32")
    wrong = tiny_bundle(tmp_path / "wrong", {"selftest.jpg": jpeg}, selftest={**right, "class_name": "Stage4"})
    with pytest.raises(BundleRejected, match="fails its self-test: it says diseased Stage2"):
        Reader(wrong, precision="f32")
