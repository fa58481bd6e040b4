"""JPEG (ITU-T T.81): walk its segments, keep what the picture needs, decode strictly. Knows no limits.

The walk ends at the first EOI: the further pictures of an MPO, a gain map, an appended zip or garbage are never seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import simplejpeg

from leafloop.errors import Undecodable
from leafloop.vision import colour, exif
from leafloop.vision.detection import Pixels
from leafloop.vision.formats.codec import damage_is_undecodable

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
DROPPED = {*range(0xE0, 0xF0), 0xFE}  # all APPn but what is written anew, and comments
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0-15
TABLES = {0xC4, 0xCC, 0xDB, 0xDD}  # DHT, DAC, DQT, DRI
MARKER = re.compile(rb"(?:\xff++\x01)*+\xff++[^\xff]", re.DOTALL)  # after fill bytes and TEM, which mean nothing
SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in a scan, FF 00 is a data byte and FF D0-D7 a restart
LOOSE = re.compile(r"(\d+) extraneous bytes before marker 0xd9")

ICC = b"ICC_PROFILE\0"
ICC_CHUNK = 65_519  # ICC.1:2022, B.4: what a segment of 65,533 bytes holds after "ICC_PROFILE", number and count
JFIF_BYTES = 14  # T.871: "JFIF", version, units, densities and the size of a thumbnail, which we drop
ADOBE_BYTES = 12  # Adobe TN 5116: "Adobe", version, flags, transform
MAX_SEGMENTS = 1000  # 460 full ones are 30 MB; millions of empty ones would hold the walk for seconds
MAX_SCANS = 64  # a progressive photo has about 10; thousands of empty ones would hold the decoder for minutes


@dataclass(frozen=True, slots=True)
class Jpeg:
    """What is kept of one JPEG. `coded`: tables, frame and scans, byte for byte; `profile`: usable, or None."""

    orientation: int
    jfif: bytes
    adobe: bytes
    profile: bytes | None
    channels: int
    coded: bytes


def read_size(data: bytes) -> tuple[int, int]:
    for marker, body, _scan in _segments(data):
        if marker in FRAMES:
            return _frame(body)[:2]
    raise Undecodable()


def keep(data: bytes) -> bytes:
    return _write(_read(data))


def decode(data: bytes) -> Pixels:
    """Every warning of libjpeg is an error here: it would fill what is missing with grey."""
    jpeg = _read(data)
    with damage_is_undecodable():
        wanted = {1: "GRAY", 3: "RGB", 4: "CMYK"}[jpeg.channels]
        try:
            # Without metadata: what the library sees is then the same for a kept copy and its original.
            samples = simplejpeg.decode_jpeg(_write(replace(jpeg, profile=None)), colorspace=wanted)
        except ValueError as error:
            loose = LOOSE.search(str(error))
            raise Undecodable(loose_bytes=int(loose[1]) if loose else 0) from error
    if jpeg.channels == 4:
        samples = ~samples  # Adobe's CMYK files hold 255 for no ink, and nobody else writes any
    return exif.turn_upright(colour.to_srgb(samples, jpeg.profile), jpeg.orientation)


def encode(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A JPEG of RGB pixels at quality 95 with full colour resolution: what a HEIC is turned into."""
    encoded: bytes = simplejpeg.encode_jpeg(pixels, quality=95, colorspace="RGB", colorsubsampling="444")
    return encoded


def cut_loose_bytes(data: bytes, count: int) -> bytes:
    """Cut `count` bytes of padding that some cameras leave between the end of the scan and EOI."""
    return data[: -2 - count] + data[-2:]


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Each marker up to EOI, with its segment's body and, after SOS, the scan that follows."""
    at = 0
    for _ in range(MAX_SEGMENTS):
        start = MARKER.match(data, at)
        if start is None:
            raise Undecodable()
        marker, at = data[start.end() - 1], start.end()
        if marker == SOI and start.start() == 0:
            continue
        if marker == EOI:
            yield marker, b"", b""
            return
        end = at + int.from_bytes(data[at : at + 2], "big")
        if not at + 2 <= end <= len(data):
            raise Undecodable()
        body, at = data[at + 2 : end], end
        if marker == SOS:
            found = SCAN_END.search(data, end)
            if found is None:  # the transfer broke off
                raise Undecodable()
            at = found.start()
        yield marker, body, data[end:at]
    raise Undecodable()


def _frame(body: bytes) -> tuple[int, int, int]:
    """Width, height and number of components. A height of 0 (told later, by DNL) is refused: no camera writes it."""
    width, height = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
    if len(body) < 6 or not width or not height or body[5] not in (1, 3, 4):
        raise Undecodable()
    return width, height, body[5]


def _read(data: bytes) -> Jpeg:
    """Walk once and sort every segment: rewritten, kept as it is, dropped, or refused."""
    orientation, jfif, adobe, channels, scans = 1, b"", b"", 0, 0
    profile: dict[int, bytes] = {}
    coded: list[bytes] = []
    for marker, body, scan in _segments(data):
        if marker in FRAMES:
            if channels:
                raise Undecodable()
            channels = _frame(body)[2]
        scans += marker == SOS
        if scans > MAX_SCANS or (marker == SOS and not channels):
            raise Undecodable()
        if marker in FRAMES | TABLES or marker == SOS:
            coded += _segment(marker, body), scan
        elif marker not in DROPPED and marker != EOI:
            raise Undecodable()
        elif scans:
            continue  # the decoder has decided by now: later words change nothing
        elif marker == APP0 and body.startswith(b"JFIF\0") and len(body) >= JFIF_BYTES:
            jfif = body[: JFIF_BYTES - 2] + b"\0\0"
        elif marker == APP14 and body.startswith(b"Adobe") and len(body) >= ADOBE_BYTES:
            adobe = body[:ADOBE_BYTES]
        elif marker == APP1 and body.startswith(b"Exif\0\0") and orientation == 1:
            orientation = exif.orientation_of(body[6:])
        elif marker == APP2 and body.startswith(ICC) and len(body) > len(ICC) + 2:
            profile.setdefault(body[len(ICC)], body[len(ICC) + 2 :])
    if not scans:
        raise Undecodable()
    joined = b"".join(part for _, part in sorted(profile.items())) or None
    usable = colour.usable_profile(joined, colour.mode_of(channels))
    return Jpeg(orientation, jfif, adobe, usable, channels, b"".join(coded))


def _segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body


def _write(jpeg: Jpeg) -> bytes:
    parts = [b"\xff\xd8"]
    if jpeg.jfif:
        parts.append(_segment(APP0, jpeg.jfif))
    if jpeg.orientation != 1:
        parts.append(_segment(APP1, b"Exif\0\0" + exif.orientation_block(jpeg.orientation)))
    if jpeg.profile:
        chunks = [jpeg.profile[at : at + ICC_CHUNK] for at in range(0, len(jpeg.profile), ICC_CHUNK)]
        parts += [_segment(APP2, ICC + bytes([n, len(chunks)]) + chunk) for n, chunk in enumerate(chunks, 1)]
    if jpeg.adobe:
        parts.append(_segment(APP14, jpeg.adobe))
    return b"".join([*parts, jpeg.coded, b"\xff\xd9"])
