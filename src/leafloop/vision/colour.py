"""Grey, RGB or CMYK samples to sRGB, through the photo's colour profile where it has a usable one."""

from __future__ import annotations

import io
import struct
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from leafloop.vision.detection import Pixels

Mode = Literal["L", "RGB", "CMYK"]
MAX_PROFILE_BYTES = 4_000_000  # printing profiles reach 2 MB; a phone's has 500 bytes
HEADER_BYTES = 128  # ICC.1:2022, 7.2
SAME_COLOUR = 2  # grey levels: a profile that moves no colour further is sRGB by another name, and not worth 0.2 s


def usable_profile(profile: bytes | None, mode: Mode) -> bytes | None:
    """The profile cut to the length that it declares, or None if it is broken or not for pictures of this mode."""
    if profile is None or not HEADER_BYTES < len(profile) <= MAX_PROFILE_BYTES or profile[36:40] != b"acsp":
        return None
    (declared,) = struct.unpack_from(">I", profile)
    if not HEADER_BYTES < declared <= len(profile):
        return None
    return profile[:declared] if _transform(profile[:declared], mode) else None


def to_srgb(samples: npt.NDArray[np.uint8], profile: bytes | None = None) -> Pixels:
    """uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] (CMYK, 255 = full ink) to RGB [H, W, 3].

    A broken profile is ignored; CMYK without a profile is taken as plain subtractive colours.
    """
    if samples.ndim == 3 and samples.shape[2] == 1:
        samples = samples[:, :, 0]
    mode = mode_of(samples.shape[2] if samples.ndim == 3 else 1)
    transform = None if profile is None else _transform(profile, mode)
    if transform is not None and not (mode == "RGB" and _changes_nothing(transform)):
        image = ImageCms.applyTransform(_image(samples, mode), transform)
        assert image is not None  # None is what the in-place form gives
        return np.array(image)
    if mode == "L":
        return np.asarray(cv2.cvtColor(samples, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if mode == "CMYK":
        return np.array(_image(samples, mode).convert("RGB"))
    return np.ascontiguousarray(samples)


def mode_of(channels: int) -> Mode:
    """Pillow's name for pictures of 1, 3 or 4 channels."""
    modes: dict[int, Mode] = {1: "L", 3: "RGB", 4: "CMYK"}
    return modes[channels]


def _transform(profile: bytes, mode: Mode) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # broken, or for another kind of picture
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a grid of 9 x 9 x 9 colours comes out of the transform as it went in."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    moved = ImageCms.applyTransform(_image(grid, "RGB"), transform)
    return bool(np.abs(np.asarray(moved, dtype=np.int16) - grid).max() <= SAME_COLOUR)


def _image(samples: npt.NDArray[np.uint8], mode: Mode) -> Image.Image:
    height, width = samples.shape[:2]
    return Image.frombuffer(mode, (width, height), np.ascontiguousarray(samples), "raw", mode, 0, 1)
