"""What a file is, from its first bytes alone; knows no file name and no content type, and decodes nothing."""

from __future__ import annotations

import re
from typing import Literal

from leafloop.errors import NotAnImage, UnsupportedType

Format = Literal["jpeg", "png", "webp", "heic"]

HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis"}  # ISO/IEC 23008-12, annex B: still pictures coded as HEVC
OTHER_BRANDS = {
    b"avif": "AVIF", b"avis": "AVIF", b"crx ": "CR3 (camera raw)", b"mif1": "HEIF of another codec",
    b"msf1": "HEIF sequence", b"hevc": "HEIF sequence", b"hevx": "HEIF sequence",
}  # fmt: skip
OTHER_FORMATS = (
    (rb"GIF8[79]a", "GIF"),
    (rb"II[*+]\0|MM\0[*+]", "TIFF or camera raw"),
    (rb"BM.{12}(\x0c|\x28|\x34|\x38|\x40|\x6c|\x7c)\0\0\0", "BMP"),  # a known header length: text may begin with BM
    (rb"8BPS\0[\1\2]", "PSD"),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (rb"\0\0[\1\2]\0[\1-\xff]\0", "ICO"),
    (rb"FUJIFILMCCD-RAW|IIRO|IIU\0", "camera raw"),
    (rb"P[1-7][ \t\r\n]+(\d|#)|P[Ff][ \t\r\n]+\d", "PNM"),
    (rb"\x76\x2f\x31\x01", "OpenEXR"),
    (rb"DDS \x7c\0\0\0", "DDS"),
    (rb"qoif", "QOI"),
    (rb"%!PS-Adobe-[\d.]+ EPSF|\xc5\xd0\xd3\xc6", "EPS"),
    # Possessive (`}+`), so that a page of blanks is not split in all possible ways.
    (rb"(\xef\xbb\xbf)?(\s+|<\?xml.{0,500}?\?>|<!--.{0,500}?-->|<!DOCTYPE\s+svg.{0,500}?>){0,20}+<svg[\s>:]", "SVG"),
)
OTHER = tuple((re.compile(pattern, re.DOTALL), name) for pattern, name in OTHER_FORMATS)
LOOKED_AT = 2048  # bytes: every mark above stands at the start, an SVG's after a short prologue


def format_of(data: bytes) -> Format:
    """Name the format. Raises `UnsupportedType` for pictures of other formats, `NotAnImage` for all else."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        return _format_of_boxes(data)
    for pattern, name in OTHER:
        if pattern.match(data[:LOOKED_AT]):
            raise _unsupported(name)
    raise NotAnImage()


def _format_of_boxes(data: bytes) -> Format:
    """HEIC by its brands (ISO/IEC 14496-12, `ftyp`): the major one first, then the compatible ones."""
    end = min(int.from_bytes(data[:4], "big"), LOOKED_AT)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))]
    if brands[0] not in (b"avif", b"avis") and HEIC_BRANDS.intersection(brands):
        return "heic"
    for brand in brands:
        if brand in OTHER_BRANDS:
            raise _unsupported(OTHER_BRANDS[brand])
    raise NotAnImage()  # a film, most likely


def _unsupported(name: str) -> UnsupportedType:
    return UnsupportedType(f"This picture is {name}, which is not taken. Send a photo as JPEG, PNG, WebP or HEIC.")
