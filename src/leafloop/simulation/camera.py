"""The phone's camera: exposure, white balance, blur, noise, sharpening, JPEG with EXIF. Knows pixels, not leaves."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import numpy.typing as npt

from leafloop.simulation.texture import between

Bytes = npt.NDArray[np.uint8]
# One sheet of noise is drawn and laid over the photo in tiles: drawing 12 million normal numbers would take half a
# second.
NOISE_SIDE = 512


def develop(rng: np.random.Generator, pixels: Bytes) -> Bytes:
    """What the camera makes of the scene. Geometry is untouched, so boxes stay exact. uint8 [H, W, 3] RGB -> the
    same.
    """
    photo = _tone(rng, pixels)
    if rng.random() < 0.55:
        photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), between(rng, 0.4, 1.25)), np.uint8)
    if rng.random() < 0.12:
        photo = _shake(rng, photo)
    photo = _grain(rng, photo)
    if rng.random() < 0.4:
        amount = between(rng, 0.2, 0.9)
        soft = cv2.GaussianBlur(photo, (0, 0), between(rng, 0.8, 1.6))
        photo = np.asarray(cv2.addWeighted(photo, 1 + amount, soft, -amount, 0), np.uint8)
    return photo


def _tone(rng: np.random.Generator, pixels: Bytes) -> Bytes:
    """Gamma, gain and white balance by table; saturation by matrix."""
    level = np.arange(256, dtype=np.float32) / 255
    gamma, lift = between(rng, 0.8, 1.25), between(rng, -0.02, 0.05)
    gains = np.array([between(rng, 0.86, 1.14), between(rng, 0.92, 1.08), between(rng, 0.86, 1.14)]) * between(
        rng, 0.82, 1.2
    )
    table = np.clip((level[:, None] ** gamma) * gains + lift, 0, 1) * 255
    toned = cv2.LUT(pixels, np.ascontiguousarray(np.rint(table).astype(np.uint8).reshape(1, 256, 3)))
    saturation = between(rng, 0.75, 1.15)
    grey = np.full((3, 3), (1 - saturation) / 3, np.float32)
    return np.asarray(cv2.transform(toned, grey + saturation * np.eye(3, dtype=np.float32)), np.uint8)


def _shake(rng: np.random.Generator, photo: Bytes) -> Bytes:
    kernel = np.zeros((7, 7), np.float32)
    turn, reach = between(rng, 0, np.pi), between(rng, 1, 3)
    step = round(float(reach * np.cos(turn))), round(float(reach * np.sin(turn)))
    cv2.line(kernel, (3 - step[0], 3 - step[1]), (3 + step[0], 3 + step[1]), 1.0)
    return np.asarray(cv2.filter2D(photo, -1, kernel / kernel.sum()), np.uint8)


def _grain(rng: np.random.Generator, photo: Bytes) -> Bytes:
    height, width = photo.shape[:2]
    sheet = rng.standard_normal((NOISE_SIDE, NOISE_SIDE, 3)).astype(np.float32)
    if rng.random() < 0.5:
        sheet[:] = sheet[..., :1]
    sheet *= between(rng, 0.5, 7.0)
    brighter = np.rint(np.clip(sheet, 0, 60)).astype(np.uint8)
    darker = np.rint(np.clip(-sheet, 0, 60)).astype(np.uint8)
    noisy = photo.copy()
    for top in range(0, height, NOISE_SIDE):
        for left in range(0, width, NOISE_SIDE):
            part = noisy[top : top + NOISE_SIDE, left : left + NOISE_SIDE]
            rows, columns = part.shape[:2]
            part[:] = cv2.subtract(cv2.add(part, brighter[:rows, :columns]), darker[:rows, :columns])
    return noisy


def jpeg(
    pixels: Bytes, quality: int, *, orientation: int | None = None, gps: tuple[float, float] | None = None
) -> bytes:
    """RGB pixels as JPEG. orientation: EXIF 1-8, written as a tag only (pixels are not turned). gps: latitude,
    longitude in degrees.
    """
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    encoded = data.tobytes()
    if orientation is None and gps is None:
        return encoded
    exif = b"Exif\x00\x00" + _tiff(orientation or 1, gps)
    return encoded[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + encoded[2:]


def _tiff(orientation: int, gps: tuple[float, float] | None) -> bytes:
    """A big-endian TIFF header with Orientation (0x0112) and, where asked, a GPS directory (0x8825)."""
    entries = [(0x0112, 3, 1, struct.pack(">HH", orientation, 0))]
    if gps is not None:
        entries.append((0x8825, 4, 1, struct.pack(">I", 8 + 2 + 12 * 2 + 4)))
    head = b"MM\x00\x2a\x00\x00\x00\x08" + _directory(entries)
    return head if gps is None else head + _gps(len(head), *gps)


def _gps(start: int, latitude: float, longitude: float) -> bytes:
    values = start + 2 + 12 * 4 + 4
    north, east = (b"N" if latitude >= 0 else b"S"), (b"E" if longitude >= 0 else b"W")
    directory = _directory(
        [
            (1, 2, 2, north + b"\x00\x00\x00"),
            (2, 5, 3, struct.pack(">I", values)),
            (3, 2, 2, east + b"\x00\x00\x00"),
            (4, 5, 3, struct.pack(">I", values + 24)),
        ]
    )
    return directory + _degrees(abs(latitude)) + _degrees(abs(longitude))


def _degrees(value: float) -> bytes:
    minutes = (value % 1) * 60
    return struct.pack(">6I", int(value), 1, int(minutes), 1, round(minutes % 1 * 60 * 100), 100)


def _directory(entries: list[tuple[int, int, int, bytes]]) -> bytes:
    rows = b"".join(struct.pack(">HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return struct.pack(">H", len(entries)) + rows + b"\x00\x00\x00\x00"
