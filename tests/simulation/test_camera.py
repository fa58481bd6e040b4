"""The phone's JPEG, as a reader of photos meets it."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from leafloop.simulation import camera, leaves


def photo() -> leaves.RenderedPhoto:
    return leaves.render(4, width=200, height=120, stages=6)


def test_the_jpeg_shows_the_rendered_pixels_in_rgb() -> None:
    rendered = photo()
    image = Image.open(io.BytesIO(leaves.encode(rendered, 1, quality=(97, 97))))
    assert image.format == "JPEG"
    assert image.size == (200, 120)
    assert np.abs(np.asarray(image, np.float32).mean((0, 1)) - rendered.pixels.mean((0, 1))).max() < 2


def test_exif_carries_orientation_and_position_and_leaves_the_pixels_alone() -> None:
    data = leaves.encode(photo(), 1, orientation=6, gps=(-1.25, 36.8))
    image = Image.open(io.BytesIO(data))
    exif = image.getexif()
    assert image.size == (200, 120)
    assert exif[0x0112] == 6
    gps = exif.get_ifd(0x8825)
    assert gps[1] == "S"
    assert gps[3] == "E"
    degrees, minutes, seconds = (float(part) for part in gps[4])
    assert abs(degrees + minutes / 60 + seconds / 3600 - 36.8) < 1e-3


def test_no_exif_is_written_unasked() -> None:
    assert b"Exif" not in leaves.encode(photo(), 1)


def test_developing_changes_tones_but_not_where_things_are() -> None:
    scene = np.zeros((160, 160, 3), np.uint8)
    scene[60:100, 40:120] = 200
    for seed in range(6):
        bright = camera.develop(np.random.default_rng(seed), scene).mean(-1) > 100
        rows, columns = np.nonzero(bright)
        assert np.abs(np.array([rows.min() - 60, rows.max() - 99, columns.min() - 40, columns.max() - 119])).max() <= 2
