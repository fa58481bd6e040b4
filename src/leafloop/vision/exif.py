"""The one EXIF tag that Leafloop believes, the orientation; every other tag is neither read nor kept."""

from __future__ import annotations

import struct

import cv2
import numpy as np

from leafloop.vision.detection import Pixels

ORIENTATION = 0x0112  # EXIF 2.32, table 4; values 1 to 8
SHORT = 3
MAX_ENTRIES = 512  # a camera's first directory holds about 15; more is an attack or damage


def orientation_of(tiff: bytes) -> int:
    """The orientation 1-8 in the first directory of a TIFF block (EXIF without its "Exif\\0\\0"); 1 if in doubt."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, start)
        for index in range(min(entries, MAX_ENTRIES)):
            tag, kind, _count, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * index)
            if tag == ORIENTATION:
                return value if kind == SHORT and 1 <= value <= 8 else 1
    except struct.error:  # a directory that points out of the block
        return 1
    return 1


def orientation_block(orientation: int) -> bytes:
    """A TIFF block that holds the orientation and nothing else (26 bytes)."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, ORIENTATION, SHORT, 1, orientation, 0, 0)


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn stored pixels as the orientation says: EXIF 2.32, "Orientation". OpenCV is 4 times numpy here."""
    if orientation == 2:
        turned = cv2.flip(pixels, 1)
    elif orientation == 3:
        turned = cv2.rotate(pixels, cv2.ROTATE_180)
    elif orientation == 4:
        turned = cv2.flip(pixels, 0)
    elif orientation == 5:
        turned = cv2.transpose(pixels)
    elif orientation == 6:
        turned = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
    elif orientation == 7:
        turned = cv2.flip(cv2.transpose(pixels), -1)
    elif orientation == 8:
        turned = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
    else:
        return pixels
    return np.ascontiguousarray(turned, dtype=np.uint8)
