"""WebP (RFC 9649): walk its chunks, keep what the picture needs, decode. Knows no limits and stores nothing.

A moving WebP has no still picture beside its frames, so it is refused. What is transparent lies on white.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from leafloop.errors import Undecodable, UnsupportedType
from leafloop.vision import colour, exif
from leafloop.vision.detection import Pixels
from leafloop.vision.formats.codec import damage_is_undecodable, on_white, open_with_pillow

ICC_FLAG, ALPHA_FLAG, EXIF_FLAG, ANIMATION_FLAG = 0x20, 0x10, 0x08, 0x02  # in the first byte of VP8X
MAX_CHUNKS = 1000  # a photo has up to six


@dataclass(frozen=True, slots=True)
class WebP:
    """What is kept of one WebP. `extended`: it has a VP8X header; `picture`: ALPH, VP8 and VP8L chunks as they are."""

    width: int
    height: int
    extended: bool
    alpha: bool
    picture: tuple[tuple[bytes, bytes], ...]
    orientation: int
    profile: bytes | None


def read_size(data: bytes) -> tuple[int, int]:
    """Of the coded frame, which an extended header must agree with."""
    canvas = None
    for kind, body in _chunks(data):
        if kind == b"VP8X":
            canvas = _canvas(body)
        if kind in (b"VP8 ", b"VP8L"):
            size = _frame(kind, body)
            if canvas not in (None, size):
                break
            return size
    raise Undecodable()


def keep(data: bytes) -> bytes:
    webp = _read(data)
    chunks = list(webp.picture)
    if webp.extended:
        flags = ICC_FLAG * bool(webp.profile) | ALPHA_FLAG * webp.alpha | EXIF_FLAG * (webp.orientation != 1)
        size = (webp.width - 1).to_bytes(3, "little") + (webp.height - 1).to_bytes(3, "little")
        profile = [(b"ICCP", webp.profile)] if webp.profile else []
        turn = [(b"EXIF", exif.orientation_block(webp.orientation))] if webp.orientation != 1 else []
        chunks = [(b"VP8X", bytes([flags, 0, 0, 0]) + size), *profile, *chunks, *turn]
    body = b"".join(kind + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for kind, part in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def decode(data: bytes) -> Pixels:
    webp = _read(data)
    image = open_with_pillow(data, "WEBP")
    with damage_is_undecodable():
        return exif.turn_upright(colour.to_srgb(on_white(image), webp.profile), webp.orientation)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk within the length that RIFF declares; what follows it is never seen."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise Undecodable()
    at = 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > end:
            return
        stop = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        if stop > end:
            raise Undecodable()
        yield data[at : at + 4], data[at + 8 : stop]
        at = stop + (stop - at) % 2
    raise Undecodable()


def _canvas(body: bytes) -> tuple[int, int]:
    if len(body) < 10:
        raise Undecodable()
    if body[0] & ANIMATION_FLAG:
        raise UnsupportedType("This is a moving picture. Send a single photo as JPEG, PNG, WebP or HEIC.")
    return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")


def _frame(kind: bytes, body: bytes) -> tuple[int, int]:
    """Width and height from the frame header: 14 bits each. VP8: RFC 6386, 9.1; VP8L: RFC 9649, 3.4."""
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) >= 10:
        width, height = struct.unpack_from("<HH", body, 6)
        width, height = width & 0x3FFF, height & 0x3FFF
    elif kind == b"VP8L" and body[:1] == b"\x2f" and len(body) >= 5:
        (bits,) = struct.unpack_from("<I", body, 1)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        raise Undecodable()
    if not width or not height:
        raise Undecodable()
    return width, height


def _read(data: bytes) -> WebP:
    """Walk once; of every kind of chunk the first counts, as for libwebp."""
    first: dict[bytes, bytes] = {}
    for kind, body in _chunks(data):
        first.setdefault(kind, body)
    width, height = read_size(data)
    coded = b"VP8L" if b"VP8L" in first else b"VP8 "
    extended = b"VP8X" in first
    lossy_alpha = coded == b"VP8 " and extended and b"ALPH" in first
    picture = [(b"ALPH", first[b"ALPH"])] if lossy_alpha else []
    return WebP(
        width,
        height,
        extended,
        extended and bool(first[b"VP8X"][0] & ALPHA_FLAG),
        (*picture, (coded, first[coded])),
        exif.orientation_of(first[b"EXIF"].removeprefix(b"Exif\0\0")) if extended and b"EXIF" in first else 1,
        colour.usable_profile(first.get(b"ICCP"), "RGB") if extended else None,
    )
