"""The one door to Pillow: the wanted codec alone, one error for all that damaged bytes may raise, 8 bits, no alpha."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from PIL import Image

from leafloop.errors import PhotoError, Undecodable


@contextmanager
def damage_is_undecodable() -> Iterator[None]:
    """Whatever a codec raises in here means that the bytes are damaged: `Undecodable`, with the cause kept."""
    try:
        yield
    except (PhotoError, MemoryError):  # already said; and a machine without memory is not the photo's fault
        raise
    except Exception as error:  # codecs raise SyntaxError, struct.error, RuntimeError, ... as the bytes lead them
        raise Undecodable() from error


def open_with_pillow(data: bytes, codec: str) -> Image.Image:
    """Decode with this one codec ("PNG", "WEBP"), so that no other of Pillow's forty ever sees an upload."""
    with damage_is_undecodable():
        image = Image.open(io.BytesIO(data), formats=(codec,))
        image.load()
        return image


def on_white(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Samples [H, W] or [H, W, 3] of 8 bits. What is transparent lies on white; of 16 bits the high byte is taken."""
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in ("LA", "RGBA"):
        bare = image.convert(image.mode[:-1])
        ground = Image.new(bare.mode, bare.size, "white")
        ground.paste(bare, mask=image.getchannel("A"))
        return np.array(ground)
    if image.mode.startswith("I;16"):
        return np.asarray(np.array(image) >> 8, dtype=np.uint8)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "RGB"):
        raise ValueError(f"no picture of ours has the mode {image.mode}")
    return np.array(image)
