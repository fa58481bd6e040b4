"""The copy of a photo that is stored and served: nothing but the picture, its orientation and its colour profile.

JPEG, PNG and WebP are cut, not encoded again; HEIC is turned once. The copy says nothing of place, time, camera or
person, holds nothing before or after the picture, and its media type comes from its own bytes. Knows no storage.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from leafloop.vision import sniff
from leafloop.vision.formats import heic, jpeg, png, webp

EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
}  # by which a kept copy is named when it is saved
KEEP = {"jpeg": jpeg.keep, "png": png.keep, "webp": webp.keep, "heic": heic.keep}


@dataclass(frozen=True, slots=True)
class KeptCopy:
    """`sha256`: hex, of `data`; it is the copy's key in the object store."""

    data: bytes
    media_type: str
    sha256: str


def keep(data: bytes) -> KeptCopy:
    """Make the kept copy. keep(keep(x).data) == keep(x). Raises `Undecodable` and the errors of `sniff.format_of`."""
    return copy_of(KEEP[sniff.format_of(data)](data))


def copy_of(kept: bytes) -> KeptCopy:
    """The value for bytes that are a kept copy already: type and hash are theirs."""
    return KeptCopy(kept, f"image/{sniff.format_of(kept)}", hashlib.sha256(kept).hexdigest())
