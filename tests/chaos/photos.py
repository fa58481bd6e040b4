"""Small photos by number: the same number gives the same bytes, two numbers never do."""

from __future__ import annotations

import hashlib
import io
from functools import cache

from PIL import Image
from tests import tiny_models

from leafloop.vision import kept


@cache
def photo(number: int) -> bytes:
    """A JPEG of about 12 kB: one tile and a bit, with one spot that says its number."""
    pixels = tiny_models.photo(300, 280, (1 + number % 6, (40, 60, 120, 110)))
    for bit in range(16):  # beside the spot, as marks too dull for any class
        pixels[240:248, 8 + 16 * bit : 16 + 16 * bit] = 60 if number >> bit & 1 else 160
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=80)
    return data.getvalue()


@cache
def stored_hash(number: int) -> str:
    """The SHA-256 of the copy that is kept of it: its key in the object store."""
    return hashlib.sha256(kept.keep(photo(number)).data).hexdigest()
