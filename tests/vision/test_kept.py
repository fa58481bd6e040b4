"""The kept copy holds the picture, its orientation and its colour profile, byte for byte, and nothing else."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from tests import hostile

from leafloop.errors import PhotoError, Undecodable
from leafloop.vision import kept
from leafloop.vision.formats import jpeg, png, webp

DECODE = {"image/jpeg": jpeg.decode, "image/png": png.decode, "image/webp": webp.decode}
# A HEIC is turned, not cut; and the strict decoder takes a padded scan only once it is cut (see test_photo).
CUT_ONLY = [case for case in hostile.READ if not case.name.startswith(("HEIC", "JPEG with padding"))]


def keep(data: bytes) -> bytes:
    return kept.keep(data).data


def chunks_of_png(data: bytes) -> list[bytes]:
    at, kinds = 8, []
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kinds.append(data[at + 4 : at + 8])
        at += 12 + length
    assert at == len(data)
    return kinds


def chunks_of_webp(data: bytes) -> list[bytes]:
    assert struct.unpack_from("<I", data, 4)[0] + 8 == len(data)
    at, kinds = 12, []
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        kinds.append(data[at : at + 4])
        at += 8 + length + length % 2
    return kinds


@pytest.mark.parametrize("case", hostile.READ, ids=str)
def test_nothing_that_tells_of_people_or_places_survives(case: hostile.Case) -> None:
    copy = kept.keep(case.make())
    assert not [canary for canary in hostile.CANARIES if canary in copy.data]
    assert not dict(Image.open(io.BytesIO(copy.data)).getexif()).keys() - {0x0112}
    assert copy.sha256 == hashlib.sha256(copy.data).hexdigest()


@pytest.mark.parametrize("case", hostile.READ, ids=str)
def test_keeping_what_is_kept_changes_no_byte(case: hostile.Case) -> None:
    copy = kept.keep(case.make())
    assert kept.keep(copy.data) == copy


@pytest.mark.parametrize("case", CUT_ONLY, ids=str)
def test_the_copy_decodes_to_the_same_pixels_as_the_original(case: hostile.Case) -> None:
    data = case.make()
    copy = kept.keep(data)
    decode = DECODE[copy.media_type]
    assert (decode(copy.data) == decode(data)).all()


def test_no_canary_of_the_shared_hostile_files_survives(shared: Path) -> None:
    canaries = [b"CANARY", b"Jane", b"LeafloopTestCam", b"evil.sh", b"<script"]
    copies = 0
    for file in sorted((shared / "data/nasty").iterdir()):
        try:
            copy = keep(file.read_bytes())
        except PhotoError:
            continue
        copies += 1
        assert not [canary for canary in canaries if canary in copy], file.name
    assert copies > 25


def test_real_positions_are_cut_out_of_real_photos(shared: Path) -> None:
    with_position = 0
    for file in sorted((shared / "data/banana/sigatoka").iterdir())[:40]:
        original = Image.open(io.BytesIO(file.read_bytes()))
        with_position += bool(original.getexif().get_ifd(0x8825))
        copy = Image.open(io.BytesIO(keep(file.read_bytes())))
        assert set(copy.getexif()) <= {0x0112}
        assert (np.asarray(copy) == np.asarray(original)).all()
    assert with_position > 0


def test_an_ordinary_jpeg_is_kept_as_it_came() -> None:
    """Nothing is encoded again, so a file without metadata comes out byte for byte."""
    data = hostile.jpeg(icc_profile=hostile.display_p3())
    assert keep(data) == data


def test_of_a_jpeg_only_these_segments_are_kept() -> None:
    data = hostile.several_pictures()
    copy = keep(hostile.jpeg(exif=hostile.telling_exif(8), icc_profile=hostile.display_p3(), comment=b"words"))
    markers = [marker for marker, _, _ in jpeg._segments(copy)]
    assert [f"{marker:X}" for marker in markers] == [
        *("E0", "E1", "E2"), "DB", "DB", "C0", "C4", "C4", "C4", "C4", "DA", "D9",
    ]  # fmt: skip
    assert Image.open(io.BytesIO(copy)).getexif()[0x0112] == 8
    assert Image.open(io.BytesIO(copy)).info["icc_profile"] == hostile.display_p3()
    assert keep(data).count(b"\xff\xd8\xff") == 1


def test_a_profile_longer_than_a_segment_is_put_together_and_cut_again() -> None:
    profile = bytearray(hostile.display_p3() + bytes(150_000))
    profile[:4] = len(profile).to_bytes(4, "big")
    copy = keep(hostile.jpeg(icc_profile=bytes(profile)))
    assert Image.open(io.BytesIO(copy)).info["icc_profile"] == profile


def test_words_behind_the_end_of_a_profile_are_cut_off() -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        copy = keep(hostile.encode(hostile.photo(), kind, icc_profile=hostile.display_p3() + b"TEXT-CANARY-3307"))
        assert Image.open(io.BytesIO(copy)).info["icc_profile"] == hostile.display_p3()


def test_the_thumbnail_in_jfif_is_cut_out() -> None:
    copy = keep(hostile.jfif_thumbnail())
    assert copy[:20] == b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\2\0\0\1\0\1\0\0"


def test_of_a_png_only_these_chunks_are_kept() -> None:
    copy = keep(hostile.telling_png())
    assert chunks_of_png(copy) == [b"IHDR", b"eXIf", b"IDAT", b"IEND"]
    palette = keep(hostile.encode(hostile.photo().quantize(16), "PNG", transparency=0, dpi=(300, 300)))
    assert chunks_of_png(palette) == [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"]
    assert set(chunks_of_png(keep(hostile.moving("PNG")))) == {b"IHDR", b"IDAT", b"IEND"}


def test_words_behind_the_picture_data_of_a_png_are_cut_off() -> None:
    data = hostile.png(64, 64, 8, 0, iter([bytes(64)] * 64))
    at = data.index(b"IDAT")
    (length,) = struct.unpack_from(">I", data, at - 4)
    hidden = data[: at - 4] + hostile.chunk(b"IDAT", data[at + 4 : at + 4 + length] + b"TEXT-CANARY-3307")
    hidden += hostile.chunk(b"IDAT", b"TEXT-CANARY-3307") + hostile.chunk(b"IEND", b"")
    assert keep(hidden) == data


def test_a_png_with_a_critical_chunk_that_nobody_knows_is_refused() -> None:
    data = hostile.png(64, 64, 8, 0, iter([bytes(64)] * 64), hostile.chunk(b"ABCD", b"TEXT"))
    with pytest.raises(Undecodable):
        keep(data)


def test_of_a_webp_only_these_chunks_are_kept() -> None:
    tags, profile = hostile.telling_exif(3), hostile.display_p3()
    lossy = keep(hostile.encode(hostile.with_alpha(), "WEBP", exif=tags, xmp=b"<x/>", icc_profile=profile))
    assert chunks_of_webp(lossy) == [b"VP8X", b"ICCP", b"ALPH", b"VP8 ", b"EXIF"]
    assert lossy[20] == 0x20 | 0x10 | 0x08  # the flags of profile, alpha and EXIF
    plain = keep(hostile.encode(hostile.photo(), "WEBP", exif=hostile.telling_exif(1), xmp=b"<x/>"))
    assert chunks_of_webp(plain) == [b"VP8X", b"VP8 "]
    assert plain[20] == 0  # no flag says that there is metadata


def test_a_canvas_of_another_size_than_its_picture_is_refused() -> None:
    data = bytearray(hostile.encode(hostile.photo(), "WEBP", exif=hostile.telling_exif()))
    data[24:27] = (9_999).to_bytes(3, "little")
    with pytest.raises(Undecodable):
        keep(bytes(data))


def test_heic_becomes_a_jpeg_with_full_colour_resolution_or_a_png_with_alpha() -> None:
    copy = kept.keep(hostile.heic())
    opened = Image.open(io.BytesIO(copy.data))
    assert (copy.media_type, opened.format, opened.size) == ("image/jpeg", "JPEG", (480, 360))
    assert {tuple(layer[1:3]) for layer in opened.layer} == {(1, 1)}
    clear = kept.keep(hostile.heic(hostile.with_alpha()))
    assert (clear.media_type, Image.open(io.BytesIO(clear.data)).mode) == ("image/png", "RGBA")


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    mode=st.sampled_from(["RGB", "L", "RGBA", "CMYK", "P"]),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    orientation=st.integers(1, 8),
    profile=st.sampled_from([None, hostile.display_p3(), b"broken"]),
    progressive=st.booleans(),
)
def test_any_picture_is_kept_to_the_pixel(
    kind: str, mode: str, size: tuple[int, int], orientation: int, profile: bytes | None, progressive: bool
) -> None:
    if (kind, mode) in {("JPEG", "RGBA"), ("JPEG", "P"), ("PNG", "CMYK"), ("WEBP", "CMYK"), ("WEBP", "P")}:
        mode = "RGB"
    image = hostile.with_alpha().resize(size).convert("RGBA" if mode == "RGBA" else "RGB").convert(mode)
    options = {"icc_profile": profile} if profile else {}
    data = hostile.encode(image, kind, exif=hostile.telling_exif(orientation), progressive=progressive, **options)
    copy = kept.keep(data)
    decode = DECODE[copy.media_type]
    assert kept.keep(copy.data) == copy
    assert (decode(copy.data) == decode(data)).all()
    if mode in ("RGB", "L") and profile != hostile.display_p3():
        reference = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        assert np.abs(decode(copy.data).astype(int) - np.asarray(reference)).max() <= 1


SEGMENTS = st.builds(
    lambda marker, body, extra: b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2 + extra) + body,
    st.sampled_from([*range(0xC0, 0x100), 0x01]),
    st.sampled_from([b"", b"Exif\0\0", b"ICC_PROFILE\0\1\1", b"JFIF\0", b"Adobe"]).flatmap(
        lambda head: st.binary(max_size=24).map(lambda tail: head + tail)
    ),
    st.sampled_from([0, 0, 0, -1, 3]),
)


@settings(max_examples=100, deadline=None)
@given(before=st.lists(SEGMENTS, max_size=6), after=st.lists(SEGMENTS, max_size=3))
def test_any_order_of_jpeg_segments_is_kept_or_refused(before: list[bytes], after: list[bytes]) -> None:
    data = hostile.encode(hostile.photo().resize((16, 16)), "JPEG")
    _kept_or_refused(data[:2] + b"".join(before) + data[2:-2] + b"".join(after) + data[-2:])


CHUNKS = st.builds(
    hostile.chunk,
    st.sampled_from(
        [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"iCCP", b"eXIf", b"tEXt", b"acTL", b"fdAT", b"IEND", b"sBIT"]
    ),
    st.binary(max_size=24),
)


@settings(max_examples=100, deadline=None)
@given(chunks=st.lists(CHUNKS, max_size=5), behind=st.lists(CHUNKS, max_size=3))
def test_any_order_of_png_chunks_is_kept_or_refused(chunks: list[bytes], behind: list[bytes]) -> None:
    data = hostile.encode(hostile.photo().resize((16, 16)), "PNG")
    _kept_or_refused(data[:33] + b"".join(chunks) + data[33:-12] + b"".join(behind) + data[-12:])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP", b"EXIF", b"ANIM"]), st.binary(max_size=24)
        ),
        max_size=6,
    ),
    st.integers(-3, 3),
)
def test_any_order_of_webp_chunks_is_kept_or_refused(chunks: list[tuple[bytes, bytes]], lie: int) -> None:
    picture = hostile.encode(hostile.photo().resize((16, 16)), "WEBP")[12:]
    parts = [kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in chunks]
    body = b"WEBP" + b"".join(parts[::2]) + picture + b"".join(parts[1::2])
    _kept_or_refused(b"RIFF" + struct.pack("<I", len(body) + lie) + body)


def _kept_or_refused(data: bytes) -> None:
    try:
        copy = kept.keep(data)
    except PhotoError:
        return
    assert kept.keep(copy.data) == copy
