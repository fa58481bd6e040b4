"""Bytes to an upright photo, or one clear error: the only way into Leafloop for a picture. Knows no storage.

The type comes from the bytes; limits are checked on the header, before anything is decoded; the pixels are decoded from
the kept copy, so that every answer can be computed again from what is stored. Nothing is global: the service lets a child
process read (`decoders.py`), since a codec is where hostile bytes meet C.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import PIL
import pillow_heif
import simplejpeg
from PIL import features

from leafloop.errors import BadShape, EmptyUpload, TooManyBytes, TooManyPixels, TooSmall, Undecodable, UnsupportedType
from leafloop.vision import kept, sniff
from leafloop.vision.detection import Pixels
from leafloop.vision.formats import heic, jpeg, png, webp
from leafloop.vision.kept import KeptCopy

READ_SIZE = {"jpeg": jpeg.read_size, "png": png.read_size, "webp": webp.read_size}  # Python alone, no codec
DECODE: dict[str, Callable[[bytes], Pixels]] = {"jpeg": jpeg.decode, "png": png.decode, "webp": webp.decode}

# The first release of each without the known holes of its C code.
FLOORS = {"pillow": (13, 0, 0), "libheif": (1, 22, 0), "libwebp": (1, 3, 2)}


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """What is taken. Checked in this order: bytes, then (on the header) pixels, shape, side."""

    max_bytes: int = 30_000_000  # a 50-megapixel phone JPEG has 15 to 25 MB
    max_pixels: int = 60_000_000  # the largest common phone photo has 50 megapixels; as RGB this is 180 MB
    min_side: int = 32  # pixels; a thumbnail has more, and on less no lesion can be told from noise
    max_aspect: float = 8.0  # a phone's panorama reaches 5:1; a narrower strip holds no leaf


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One photo. `pixels`: uint8 [height, width, 3], RGB, upright, sRGB, C-contiguous. `sha256`: of the upload."""

    pixels: Pixels
    width: int
    height: int
    format: sniff.Format
    sha256: str
    kept: KeptCopy

    def without_pixels(self) -> Photo:
        """What is left to say and to store once the photo was judged: its pixels are most of a request's memory."""
        return replace(self, pixels=np.empty((0, 0, 3), np.uint8))


def check(data: bytes, limits: PhotoLimits = PhotoLimits()) -> int:
    """Refuse what can be refused from the header; the number of pixels (a HEIC's is told for sure by its codec alone).

    Raises a `PhotoError`. No codec is touched: this is safe, and done in milliseconds, where a codec must not run.
    """
    if not data:
        raise EmptyUpload()
    if len(data) > limits.max_bytes:
        raise TooManyBytes(limit=limits.max_bytes, got=len(data))
    kind = sniff.format_of(data)
    if kind == "heic":
        return min(heic.declared_pixels(data), limits.max_pixels)
    width, height = READ_SIZE[kind](data)
    _check_size(width, height, limits)
    return width * height


def read_upload(data: bytes, limits: PhotoLimits = PhotoLimits()) -> Photo:
    """Read one upload. Raises a `PhotoError` (see errors.py) for all that is not a whole photo within the limits."""
    check(data, limits)
    kind = sniff.format_of(data)
    if kind == "heic":
        _check_size(*heic.read_size(data), limits)
    copy, pixels = _keep_and_decode(data)
    height, width = pixels.shape[:2]
    return Photo(pixels, width, height, kind, hashlib.sha256(data).hexdigest(), copy)


def read_kept(data: bytes) -> Pixels:
    """Decode a kept copy again: the same pixels as `read_upload` gave. Raises `Undecodable` if it was damaged since."""
    kind = sniff.format_of(data)
    if kind not in DECODE:  # a kept copy is never a HEIC
        raise UnsupportedType()
    return DECODE[kind](data)


def codec_versions() -> dict[str, str]:
    """The versions of the codecs that see hostile bytes; those inside wheels are invisible to package scanners."""
    return {
        "pillow": PIL.__version__,
        "pillow-heif": pillow_heif.__version__,
        "libheif": pillow_heif.libheif_info()["libheif"],
        "libwebp": features.version("webp") or "absent",
        "simplejpeg": simplejpeg.__version__,
    }


def outdated_codecs() -> dict[str, str]:
    """Name -> the least version without known holes, for every codec that is older than that."""
    found = codec_versions()
    return {name: ".".join(map(str, floor)) for name, floor in FLOORS.items() if _version(found[name]) < floor}


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _check_size(width: int, height: int, limits: PhotoLimits) -> None:
    if width * height > limits.max_pixels:
        raise TooManyPixels(limit=limits.max_pixels, width=width, height=height)
    if max(width, height) > limits.max_aspect * min(width, height):
        raise BadShape(limit=limits.max_aspect, width=width, height=height)
    if min(width, height) < limits.min_side:
        raise TooSmall(limit=limits.min_side, width=width, height=height)


def _keep_and_decode(data: bytes) -> tuple[KeptCopy, Pixels]:
    """Decode what is kept. Padding that a camera left between scan and end of a JPEG is cut out of the copy first."""
    copy = kept.keep(data)
    try:
        return copy, read_kept(copy.data)
    except Undecodable as damage:
        loose = damage.fields.get("loose_bytes", 0)
        if not isinstance(loose, int) or not loose:
            raise
    copy = kept.keep(jpeg.cut_loose_bytes(copy.data, loose))
    return copy, read_kept(copy.data)
