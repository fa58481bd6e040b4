"""HEIC (ISO/IEC 23008-12): turned once into a JPEG, or a PNG if it has alpha, that everybody can open.

libheif applies the file's own turns (`irot`, `imir`); as the standard says, the EXIF orientation then counts no more.
"""

from __future__ import annotations

import re

import numpy as np
import pillow_heif

from leafloop.errors import Undecodable
from leafloop.vision import colour
from leafloop.vision.formats import jpeg, png
from leafloop.vision.formats.codec import damage_is_undecodable, on_white

ISPE = re.compile(rb"\0\0\0\x14ispe\0\0\0\0(.{8})", re.DOTALL)  # ISO/IEC 23008-12, 6.5.3: width and height


def read_size(data: bytes) -> tuple[int, int]:
    """Upright, of the primary picture. libheif reads the boxes only; the HEVC data is not touched."""
    with damage_is_undecodable():
        width, height = pillow_heif.open_heif(data).size
    if width < 1 or height < 1:
        raise Undecodable()
    return int(width), int(height)


def declared_pixels(data: bytes) -> int:
    """Of the largest picture that the boxes declare (`ispe`), which is the primary one; 0 if none. libheif is not asked."""
    return max((int.from_bytes(s[:4], "big") * int.from_bytes(s[4:], "big") for s in ISPE.findall(data)), default=0)


def keep(data: bytes) -> bytes:
    """A JPEG at quality 95 without colour subsampling, or a PNG that keeps the alpha; upright and sRGB, no metadata."""
    with damage_is_undecodable():
        heif = pillow_heif.open_heif(data)
        image, profile = heif.to_pillow(), heif.info.get("icc_profile")
        if "A" not in image.getbands():
            samples = on_white(image)
            return jpeg.encode(colour.to_srgb(samples, _for(profile, samples.ndim)))
        rgb = colour.to_srgb(np.array(image.convert("RGB")), _for(profile, 3))
        return png.encode(np.dstack([rgb, np.asarray(image.getchannel("A"))]))


def _for(profile: bytes | None, dimensions: int) -> bytes | None:
    return colour.usable_profile(profile, "RGB" if dimensions == 3 else "L")
