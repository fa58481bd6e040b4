"""Smaller copies of kept photos, made when somebody looks (a browser keeps them a while); knows no row and no HTTP."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

from leafloop.errors import BlobCorrupt
from leafloop.storage.blobs import BlobStore

SIZES = {"thumb": 240, "view": 1600}  # px, longest side: 88 CSS px on a dense screen; a whole phone or half a desktop
_QUALITY = 80  # JPEG: these are for looking, the answer was computed from the kept copy


def smaller(blobs: BlobStore, key: str, size: str) -> bytes:
    """JPEG bytes of a kept photo, upright, at most `SIZES[size]` px long. Raises what the store raises, and `BlobCorrupt`."""
    return shrunk(blobs.get(key), size)


def shrunk(data: bytes, size: str) -> bytes:
    """As `smaller`, of bytes. All was decoded before it was kept; here a JPEG is decoded at the nearest larger eighth."""
    longest = SIZES[size]
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as kept:
            profile = kept.info.get("icc_profile")
            kept.draft("RGB", (longest, longest))
            kept.thumbnail((longest, longest))
            upright = ImageOps.exif_transpose(kept).convert("RGB")
    except OSError as error:
        raise BlobCorrupt("A kept photo cannot be read as a picture any more.") from error
    out = io.BytesIO()
    upright.save(out, "JPEG", quality=_QUALITY, icc_profile=profile if kept.mode == "RGB" else None)
    return out.getvalue()
