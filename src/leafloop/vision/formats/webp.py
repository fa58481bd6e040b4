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
    return _size(_parts(data))


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


def _parts(data: bytes) -> dict[bytes, bytes]:
    """The first chunk of every kind, as libwebp takes them: one picture, and the extended header, if any, before all."""
    first: dict[bytes, bytes] = {}
    for kind, body in _chunks(data):
        if kind == b"VP8X" and first:
            raise Undecodable()
        first.setdefault(kind, body)
    if b"VP8X" in first and len(first[b"VP8X"]) < 10:
        raise Undecodable()
    if b"VP8X" in first and first[b"VP8X"][0] & ANIMATION_FLAG:
        raise UnsupportedType("This is a moving picture. Send a single photo as JPEG, PNG, WebP or HEIC.")
    if (b"VP8 " in first) == (b"VP8L" in first):
        raise Undecodable()
    return first


def _size(parts: dict[bytes, bytes]) -> tuple[int, int]:
    """Of the coded frame, which an extended header must agree with."""
    size = _frame(b"VP8L", parts[b"VP8L"]) if b"VP8L" in parts else _frame(b"VP8 ", parts[b"VP8 "])
    canvas = parts.get(b"VP8X")
    if canvas and size != (1 + int.from_bytes(canvas[4:7], "little"), 1 + int.from_bytes(canvas[7:10], "little")):
        raise Undecodable()
    return size


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
    parts = _parts(data)
    width, height = _size(parts)
    extended = b"VP8X" in parts
    lossy_alpha = extended and b"VP8 " in parts and b"ALPH" in parts
    kinds = [b"ALPH", b"VP8 "] if lossy_alpha else [kind for kind in (b"VP8 ", b"VP8L") if kind in parts]
    return WebP(
        width,
        height,
        extended,
        extended and bool(parts[b"VP8X"][0] & ALPHA_FLAG),
        tuple((kind, parts[kind]) for kind in kinds),
        exif.orientation_of(parts[b"EXIF"].removeprefix(b"Exif\0\0")) if extended and b"EXIF" in parts else 1,
        colour.usable_profile(parts.get(b"ICCP"), "RGB") if extended else None,
    )
