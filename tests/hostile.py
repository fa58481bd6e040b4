"""Hostile, broken and odd picture files, made here in code: nothing is read from disk, and a second run makes the same.

`CASES` is the list; each says what Leafloop must answer: an error's code, or None for a photo that is read. The base photo
is upright 480 x 360 with red top left, green top right and blue bottom left, so that a wrong turn shows.
"""

from __future__ import annotations

import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageDraw, ImageFilter, PngImagePlugin

CANARIES = (
    b"PICKLE-CANARY-42",
    b"GPS-CANARY-7731",
    b"Jane Canary Farmer",
    b"ZIP-CANARY-9120",
    b"HTML-CANARY-5518",
    b"TEXT-CANARY-3307",
    b"THUMB-CANARY-6001",
)
HTML = b"<html><script>alert('HTML-CANARY-5518')</script></html>"
# How a camera that was turned stores the upright photo, by EXIF orientation: what undoes the turn of the standard's table.
STORED = {
    1: lambda im: im,
    2: lambda im: im.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda im: im.transpose(Image.Transpose.ROTATE_180),
    4: lambda im: im.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda im: im.transpose(Image.Transpose.TRANSPOSE),
    6: lambda im: im.transpose(Image.Transpose.ROTATE_90),
    7: lambda im: im.transpose(Image.Transpose.TRANSVERSE),
    8: lambda im: im.transpose(Image.Transpose.ROTATE_270),
}


@dataclass(frozen=True)
class Case:
    """One file. `code`: the error that must come, or None. `warning`: the word about its quality that must come."""

    name: str
    make: Callable[[], bytes]
    code: str | None = None
    warning: str | None = None

    def __str__(self) -> str:
        return self.name


@functools.cache
def photo() -> Image.Image:
    """The base photo: a leaf with stripes and spots, and a mark in three corners. Do not draw on it: it is shared."""
    image = Image.new("RGB", (480, 360), (70, 110, 50))
    draw = ImageDraw.Draw(image)
    for x in range(0, 480, 16):
        draw.line([(x, 0), (x + 40, 360)], fill=(60, 140, 60), width=3)
    for x, y, r in ((90, 80, 30), (300, 120, 18), (220, 260, 40)):
        draw.ellipse([x - r, y - r // 2, x + r, y + r // 2], fill=(60, 40, 25))
    for corner, colour in (((0, 0), (220, 30, 30)), ((456, 0), (30, 220, 30)), ((0, 336), (30, 30, 220))):
        draw.rectangle([corner, (corner[0] + 23, corner[1] + 23)], fill=colour)
    return image


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg(**options: Any) -> bytes:
    return encode(photo(), "JPEG", **{"quality": 85, **options})


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    """The base photo as a turned camera stores it, with the EXIF word that puts it right."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    options = {"quality": 92} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    return encode(STORED[orientation](photo()), kind, exif=tags, **options)


def telling_exif(orientation: int = 1) -> Image.Exif:
    """EXIF that tells where, when, with what and by whom the photo was taken."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0110], tags[0x0132] = "LeafloopTestCam", "GPS-CANARY-7731", "2026:01:01 12:00:00"
    tags[0x013B], tags[0x0112] = "Jane Canary Farmer", orientation
    tags.get_ifd(0x8825).update({1: "S", 2: (3.0, 22.0, 11.0), 3: "E", 4: (36.0, 41.0, 7.0)})
    return tags


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, kind: int, rows: Iterator[bytes], *extra: bytes) -> bytes:
    """A PNG chunk by chunk. `rows`: raw rows without filter byte. `extra`: chunks between IHDR and IDAT."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"\0" + row) for row in rows) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def display_p3() -> bytes:
    """A minimal version 2 matrix profile (ICC.1:2001) with the primaries of Display P3 and gamma 2.2."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    colours = {
        b"rXYZ": (0.51512, 0.2412, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.1571, 0.06657, 0.78407),
    }
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 3) + b"P3\0" + b"\0" * 78, b"cprt": b"text\0\0\0\0CC0\0"}
    tags |= {name: b"XYZ \0\0\0\0" + fixed(*at) for name, at in {b"wtpt": (0.9642, 1, 0.8249), **colours}.items()}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body = b"", b""
    for name, value in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s", 132 + len(table) + len(body), b"test", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + fixed(0.9642, 1, 0.8249) + b"\0" * 48
    return head + struct.pack(">I", len(tags)) + table + body


def bomb() -> bytes:
    """30,000 x 30,000 pixels in 100 kB."""
    return png(30_000, 30_000, 1, 0, iter([bytes(3750)] * 30_000))


def bad_checksum() -> bytes:
    data = bytearray(encode(photo(), "PNG"))
    data[data.index(b"IDAT") + 40] ^= 1
    return bytes(data)


def polyglot_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("../../evil.sh"), "echo ZIP-CANARY-9120\n")
    return jpeg() + out.getvalue()


def with_segments(*segments: bytes) -> bytes:
    """The base JPEG with these segments right after its SOI."""
    data = jpeg()
    return data[:2] + b"".join(segments) + data[2:]


def jfif_thumbnail() -> bytes:
    """A JFIF segment whose thumbnail (3 x 2 RGB pixels) spells a canary."""
    data = jpeg()
    jfif = b"JFIF\0\1\2\0\0\1\0\1\3\2" + b"THUMB-CANARY-6001\0"
    return data[:2] + segment(0xE0, jfif) + data[20:]


def several_pictures() -> bytes:
    """An MPO as phones write it: a second picture, here one that tells who took it, after the first."""
    second = encode(photo().rotate(180), "JPEG", exif=telling_exif())
    return encode(photo(), "MPO", save_all=True, append_images=[Image.open(io.BytesIO(second))], exif=telling_exif())


def telling_png() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Jane Canary Farmer")
    info.add_text("Comment", "TEXT-CANARY-3307", zip=False)
    info.add_itxt("XML:com.adobe.xmp", "<x>GPS-CANARY-7731</x>")
    return encode(photo(), "PNG", pnginfo=info, exif=telling_exif(6)) + HTML


def endless_exif() -> bytes:
    """A directory that says it is the next one after itself, with 65,535 entries."""
    return b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x0f\0\2\0\0\0\1\0\0\0\x08" * 300


def moving(kind: str) -> bytes:
    frames = [photo().rotate(10 * turn).resize((120, 90)) for turn in range(3)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def heic(image: Image.Image | None = None) -> bytes:
    out = io.BytesIO()
    pillow_heif.from_pillow(image or photo()).save(out, quality=80, exif=telling_exif().tobytes())
    return out.getvalue()


def with_alpha() -> Image.Image:
    image = photo().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def grey16() -> bytes:
    grey = np.asarray(photo().convert("L"), ">u2") * 257
    return png(480, 360, 16, 0, (row.astype(">u2").tobytes() for row in grey))


def rgb16() -> bytes:
    return png(480, 360, 16, 2, (row.astype(">u2").tobytes() for row in np.asarray(photo(), np.uint16) * 257))


def noise() -> bytes:
    return encode(
        Image.fromarray(np.random.default_rng(7).integers(0, 256, (360, 480, 3), np.uint8)), "JPEG", quality=60
    )


def padded_scan() -> bytes:
    """Some cameras leave a few bytes between the coded data and the end mark."""
    return jpeg()[:-2] + b"\x55" * 24 + b"\xff\xd9"


SVG = b'<?xml version="1.0"?>\n<!-- <svg> -->\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
PICKLE = b"\x80\x02cbuiltins\nprint\nX\x10\0\0\0PICKLE-CANARY-42\x85R."
AVIF = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(100)
FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(100)

CASES = [
    Case("no bytes", lambda: b"", "empty"),
    Case("text named .jpg", lambda: b"This is a plain text file, not a photo.\n" * 40, "not_an_image"),
    Case("HTML named .jpg", lambda: b"<!doctype html>" + HTML, "not_an_image"),
    Case("HTML that holds an SVG", lambda: b"<!doctype html><svg></svg>", "not_an_image"),
    Case("pickle named .jpg", lambda: PICKLE, "not_an_image"),
    Case("PDF", lambda: b"%PDF-1.7\n" + bytes(200), "not_an_image"),
    Case("film", lambda: FILM, "not_an_image"),
    Case("SVG with a script", lambda: SVG, "unsupported_type"),
    Case("moving GIF", lambda: moving("GIF"), "unsupported_type"),
    Case("moving WebP", lambda: moving("WEBP"), "unsupported_type"),
    Case("TIFF", lambda: encode(photo(), "TIFF"), "unsupported_type"),
    Case("BMP", lambda: encode(photo(), "BMP"), "unsupported_type"),
    Case("JPEG 2000", lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), "unsupported_type"),
    Case("PSD", lambda: b"8BPS\0\1" + bytes(50), "unsupported_type"),
    Case("AVIF", lambda: AVIF, "unsupported_type"),
    Case("first 24 bytes of a JPEG", lambda: jpeg()[:24], "undecodable"),
    Case("JPEG cut at 40 %", lambda: jpeg()[: len(jpeg()) * 2 // 5], "undecodable"),
    Case("JPEG cut, end mark glued on", lambda: jpeg()[: len(jpeg()) * 2 // 5] + b"\xff\xd9", "undecodable"),
    Case("progressive JPEG cut", lambda: jpeg(progressive=True)[:9000] + b"\xff\xd9", "undecodable"),
    Case("PNG with a wrong checksum", bad_checksum, "undecodable"),
    Case("PNG cut", lambda: encode(photo(), "PNG")[:1000], "undecodable"),
    Case("WebP cut", lambda: encode(photo(), "WEBP")[:3000], "undecodable"),
    Case("HEIC cut", lambda: heic()[:3000], "undecodable"),
    Case("bomb of 900 megapixels", bomb, "too_many_pixels"),
    Case("one pixel", lambda: encode(Image.new("RGB", (1, 1)), "PNG"), "too_small"),
    Case("strip of 20000 x 10", lambda: encode(photo().resize((20_000, 10)), "PNG"), "bad_shape"),
    Case("line of 1 x 60000", lambda: png(1, 60_000, 8, 0, iter([b"\0"] * 60_000)), "bad_shape"),
    *[Case(f"JPEG, orientation {n}", functools.partial(turned, n)) for n in STORED],
    *[Case(f"PNG, orientation {n}", functools.partial(turned, n, "PNG")) for n in (3, 6)],
    *[Case(f"WebP, orientation {n}", functools.partial(turned, n, "WEBP")) for n in (5, 8)],
    Case("JPEG with place and name", lambda: jpeg(exif=telling_exif())),
    Case("JPEG with XMP, IPTC and a comment", lambda: with_segments(
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x>GPS-CANARY-7731</x>"),
        segment(0xED, b"Photoshop 3.0\x008BIM\4\4\0\0\0\0\0\x12Jane Canary Farmer"), segment(0xFE, HTML))),
    Case("JPEG with a thumbnail in JFIF", jfif_thumbnail),
    Case("JPEG with an endless EXIF", lambda: with_segments(segment(0xE1, endless_exif()))),
    Case("JPEG with garbage after its end", lambda: jpeg() + bytes(range(256)) * 16),
    Case("JPEG with padding before its end", padded_scan),
    Case("JPEG and zip in one", polyglot_zip),
    Case("MPO", several_pictures),
    Case("CMYK JPEG", lambda: encode(photo().convert("CMYK"), "JPEG", quality=92)),
    Case("grey JPEG", lambda: encode(photo().convert("L"), "JPEG")),
    Case("progressive JPEG", lambda: jpeg(progressive=True)),
    Case("JPEG coded as RGB", lambda: jpeg(keep_rgb=True)),
    Case("JPEG with a broken profile", lambda: jpeg(icc_profile=b"\xffTEXT-CANARY-3307" * 20)),
    Case("JPEG in Display P3", lambda: jpeg(icc_profile=display_p3())),
    Case("PNG with words and HTML", telling_png),
    Case("16-bit grey PNG", grey16),
    Case("16-bit RGB PNG", rgb16),
    Case("moving PNG", lambda: moving("PNG")),
    Case("PNG with alpha", lambda: encode(with_alpha(), "PNG")),
    Case("palette PNG with a clear colour", lambda: encode(photo().quantize(64), "PNG", transparency=0)),
    Case("1-bit PNG", lambda: encode(photo().convert("1"), "PNG")),
    Case("WebP with place and name", lambda: encode(photo(), "WEBP", exif=telling_exif(), xmp=b"GPS-CANARY-7731") + HTML),
    Case("WebP with alpha", lambda: encode(with_alpha(), "WEBP")),
    Case("HEIC with place and name", heic),
    Case("HEIC with alpha", lambda: heic(with_alpha())),
    Case("all black", lambda: encode(Image.new("RGB", (480, 360)), "JPEG"), warning="too_dark"),
    Case("all white", lambda: encode(Image.new("RGB", (480, 360), "white"), "JPEG"), warning="too_bright"),
    Case("very blurred", lambda: encode(photo().filter(ImageFilter.GaussianBlur(22)), "JPEG"), warning="blurred"),
    Case("random noise", noise, warning="noisy"),
]  # fmt: skip
READ = [case for case in CASES if case.code is None]
REFUSED = [case for case in CASES if case.code is not None]
