"""PNG (W3C, third edition): walk its chunks, keep what the picture needs, decode. Knows no limits.

Of an animated PNG the still picture is taken, the one that every viewer without animation shows. What is transparent
lies on white. 16-bit samples are scaled to 8 bits. `gAMA` and `cHRM` are kept, but only `iCCP` changes the colours.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leafloop.errors import Undecodable
from leafloop.vision import colour, exif
from leafloop.vision.detection import Pixels
from leafloop.vision.formats.codec import damage_is_undecodable, on_white, open_with_pillow

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEPT_BEFORE_PICTURE = {b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT"}
REWRITTEN = {b"iCCP", b"eXIf"}
CRITICAL = {b"IHDR", b"PLTE", b"IEND"}
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey + alpha, RGB + alpha
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Adam7: where each of the seven passes begins (x, y) and how far its pixels lie apart.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
STEP = 1 << 20  # bytes unpacked at a time, so that a bomb is noticed before it has filled the memory
# Writers make IDATs of 8 kB and more, so 30 MB are 4,000; empty ones by the million would hold the walk for seconds.
MAX_CHUNKS = 20_000


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of IHDR that matter, checked against table 1 of the standard."""

    width: int
    height: int
    depth: int
    colour_type: int
    interlaced: bool

    @property
    def mode(self) -> colour.Mode:
        """What a colour profile has to be for."""
        return "L" if self.colour_type in (0, 4) else "RGB"

    def unpacked_bytes(self) -> int:
        """The length of all rows with their filter bytes, which the data must give exactly."""
        bits = self.depth * CHANNELS[self.colour_type]
        total = 0
        for x, y, dx, dy in PASSES if self.interlaced else ((0, 0, 1, 1),):
            columns, rows = -(-(self.width - x) // dx), -(-(self.height - y) // dy)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * bits // 8))
        return total


@dataclass(frozen=True, slots=True)
class Png:
    """What is kept of one PNG. `tables`: chunks before the picture, in order; `picture`: IDAT bodies."""

    header: bytes
    tables: tuple[tuple[bytes, bytes], ...]
    picture: tuple[bytes, ...]
    orientation: int
    profile: bytes | None


def read_size(data: bytes) -> tuple[int, int]:
    for kind, body in _chunks(data):
        if kind == b"IHDR":
            header = _header(body)
            return header.width, header.height
        break
    raise Undecodable()


def keep(data: bytes) -> bytes:
    png = _read(data)
    parts = [SIGNATURE, _chunk(b"IHDR", png.header)]
    if png.profile:
        parts.append(_chunk(b"iCCP", b"icc\0\0" + zlib.compress(png.profile, 9)))
    if png.orientation != 1:
        parts.append(_chunk(b"eXIf", exif.orientation_block(png.orientation)))
    parts += [_chunk(kind, body) for kind, body in png.tables]
    whole = _whole_picture(png.picture, _header(png.header).unpacked_bytes())
    parts += [_chunk(b"IDAT", body) for body in whole]
    return b"".join([*parts, _chunk(b"IEND", b"")])


def decode(data: bytes) -> Pixels:
    png = _read(data)
    image = open_with_pillow(data, "PNG")
    with damage_is_undecodable():
        samples = on_white(image)
        clear = _clear_colour(png)
        if clear is not None:
            samples[np.atleast_3d(samples == clear).all(axis=2)] = 255
        return exif.turn_upright(colour.to_srgb(samples, png.profile), png.orientation)


def encode(samples: npt.NDArray[np.uint8]) -> bytes:
    """A PNG of RGB + alpha [H, W, 4]: what a HEIC with alpha is turned into. Level 3: a third of the time of 6."""
    height, width = samples.shape[:2]
    rows = np.zeros((height, 1 + 4 * width), np.uint8)  # the first byte of a row: no filter
    rows[:, 1:] = samples.reshape(height, 4 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 3)) + _chunk(b"IEND", b"")
    )


def _clear_colour(png: Png) -> tuple[int, ...] | None:
    """The one colour that tRNS makes transparent in a grey or RGB picture, in 8 bits as Pillow gives the samples."""
    header = _header(png.header)
    clear = dict(png.tables).get(b"tRNS")
    if clear is None or header.colour_type not in (0, 2) or len(clear) != 2 * CHANNELS[header.colour_type]:
        return None
    values = struct.unpack(f">{len(clear) // 2}H", clear)
    if header.depth == 16:  # compared by the high byte, which is what is left of a sample
        return tuple(value >> 8 for value in values)
    return tuple(value * 255 // (2**header.depth - 1) for value in values)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk up to IEND, its checksum proven; what follows IEND is never seen."""
    at = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : end]
        if end + 4 > len(data) or zlib.crc32(kind + body) != int.from_bytes(data[end : end + 4], "big"):
            raise Undecodable()
        yield kind, body
        if kind == b"IEND":
            return
        at = end + 4
    raise Undecodable()


def _header(body: bytes) -> Header:
    if len(body) != 13:
        raise Undecodable()
    width, height, depth, kind, compression, filters, interlace = struct.unpack(">IIBBBBB", body)
    if not width or not height or depth not in DEPTHS.get(kind, ()) or compression or filters or interlace > 1:
        raise Undecodable()
    return Header(width, height, depth, kind, bool(interlace))


def _read(data: bytes) -> Png:
    """Walk once and sort every chunk: rewritten, kept, dropped (ancillary), or refused (unknown and critical)."""
    chunks = list(_chunks(data))
    if chunks[0][0] != b"IHDR":
        raise Undecodable()
    header = _header(chunks[0][1])
    tables: dict[bytes, bytes] = {}
    picture: list[bytes] = []
    once: dict[bytes, bytes] = {}
    for kind, body in chunks[1:-1]:
        if kind == b"IDAT":
            picture.append(body)
        elif kind in KEPT_BEFORE_PICTURE and not picture:
            tables.setdefault(kind, body)
        elif kind in REWRITTEN:
            once.setdefault(kind, body)
        elif kind in CRITICAL or kind[:1].isupper():  # twice, out of place, or of a future standard
            raise Undecodable()
    return Png(
        chunks[0][1],
        tuple(tables.items()),
        tuple(picture),
        exif.orientation_of(once.get(b"eXIf", b"")),
        _profile(once.get(b"iCCP"), header.mode),
    )


def _whole_picture(picture: tuple[bytes, ...], expected: int) -> list[bytes]:
    """The bodies of IDAT up to where their zlib stream ends; refused if it does not give exactly the picture's bytes."""
    unpacker, unpacked, whole = zlib.decompressobj(), 0, []
    with damage_is_undecodable():
        for body in picture:
            if unpacker.eof:
                break
            waiting = body
            while waiting and not unpacker.eof and unpacked <= expected:
                unpacked += len(unpacker.decompress(waiting, STEP))
                waiting = unpacker.unconsumed_tail
            whole.append(body[: len(body) - len(unpacker.unused_data)])
    if not unpacker.eof or unpacked != expected:
        raise Undecodable()
    return whole


def _profile(body: bytes | None, mode: colour.Mode) -> bytes | None:
    """The profile out of iCCP: a name, a null, the method 0, a zlib stream."""
    name, _, packed = (body or b"").partition(b"\0")
    if not name or packed[:1] != b"\0":
        return None
    try:
        profile = zlib.decompressobj().decompress(packed[1:], colour.MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return colour.usable_profile(profile, mode)
