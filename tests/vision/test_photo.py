"""A photo comes in as bytes and is upright RGB pixels afterwards, or one clear error says why not."""

from __future__ import annotations

import csv
import functools
import io
import pickle
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile
from tests import hostile

from leafloop.errors import PhotoError, TooManyBytes, TooManyPixels, TooSmall, Undecodable, UnsupportedType
from leafloop.vision import photo
from leafloop.vision.detection import Pixels
from leafloop.vision.formats import jpeg
from leafloop.vision.formats.codec import open_with_pillow
from leafloop.vision.photo import PhotoLimits, read_kept, read_upload

MARKS = {"top left": (12, 12, 0), "top right": (-12, 12, 1), "bottom left": (12, -12, 2)}


def apart(pixels: Pixels, image: Image.Image) -> float:
    """Mean difference in grey levels to what the picture should look like."""
    return float(np.abs(pixels.astype(np.int16) - np.asarray(image.convert("RGB"), np.int16)).mean())


def assert_upright(pixels: Pixels) -> None:
    assert pixels.shape == (360, 480, 3)
    for where, (x, y, channel) in MARKS.items():
        assert pixels[y, x].argmax() == channel, where
        assert pixels[y, x, channel] > 180, where


@pytest.mark.parametrize("case", hostile.READ, ids=str)
def test_odd_photos_are_read(case: hostile.Case) -> None:
    read = read_upload(case.make())
    assert read.pixels.shape == (read.height, read.width, 3)
    assert read.pixels.dtype == np.uint8
    assert read.pixels.flags.c_contiguous


@pytest.mark.parametrize("case", hostile.REFUSED, ids=str)
def test_what_is_no_whole_photo_is_refused_with_its_own_code(case: hostile.Case) -> None:
    data = case.make()
    begun = time.process_time()
    with pytest.raises(PhotoError) as refusal:
        read_upload(data)
    assert refusal.value.code == case.code
    assert time.process_time() - begun < 0.5


def answer(data: bytes) -> str:
    """The code of the refusal, or nothing for a photo that is read."""
    try:
        read_upload(data)
    except PhotoError as refusal:
        return refusal.code
    return ""


def rows_of(shared: Path, strict: str) -> list[dict[str, str]]:
    lines = (shared / "data/nasty/expected.csv").read_text().splitlines()
    return [row for row in csv.DictReader(lines) if row["strict"] == strict]


def test_every_must_row_of_the_hostile_files_is_answered_as_it_says(shared: Path) -> None:
    wanted = {row["file"]: row["error_kind"] for row in rows_of(shared, "must")}
    assert len(wanted) == 31
    assert {name: answer((shared / "data/nasty" / name).read_bytes()) for name in wanted} == wanted


def test_the_other_hostile_files_are_answered_as_documented(shared: Path) -> None:
    """`policy` rows: moving pictures, TIFF and BMP are refused, a strip has a bad shape, the rest is read."""
    wanted = dict.fromkeys((row["file"] for row in rows_of(shared, "policy")), "")
    wanted |= dict.fromkeys(("animated.gif", "multipage.tiff", "photo.bmp"), "unsupported_type")
    wanted["strip_20000x10.png"] = "bad_shape"
    assert {name: answer((shared / "data/nasty" / name).read_bytes()) for name in wanted} == wanted


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_of_a_turned_camera_stands_upright(kind: str, orientation: int) -> None:
    read = read_upload(hostile.turned(orientation, kind))
    assert_upright(read.pixels)
    assert apart(read.pixels, hostile.photo()) < 4


def test_an_orientation_that_is_not_one_of_eight_turns_nothing() -> None:
    for wrong in (0, 9, 65535):
        tags = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, wrong, 0, 0)
        read = read_upload(hostile.with_segments(hostile.segment(0xE1, b"Exif\0\0" + tags)))
        assert_upright(read.pixels)
        assert read.kept.data == hostile.jpeg()


def test_real_files_turned_eight_ways_are_one_photo(shared: Path) -> None:
    first, *others = [
        read_upload((shared / f"data/nasty/exif_orientation_{n}.jpg").read_bytes()).pixels for n in range(1, 9)
    ]
    assert_upright(first)
    assert all(np.abs(first.astype(int) - other).mean() < 4 for other in others)


def test_only_the_first_picture_of_several_is_read() -> None:
    data = hostile.several_pictures()
    assert data.count(b"\xff\xd8\xff") > 1
    assert_upright(read_upload(data).pixels)


def test_of_a_moving_png_the_still_picture_is_read() -> None:
    first = Image.open(io.BytesIO(hostile.moving("PNG")))
    assert apart(read_upload(hostile.moving("PNG")).pixels, first) == 0


def test_cmyk_has_the_colours_of_the_rgb_photo() -> None:
    read = read_upload(hostile.encode(hostile.photo().convert("CMYK"), "JPEG", quality=95))
    assert apart(read.pixels, hostile.photo()) < 4


def test_heic_is_upright_and_in_the_right_colours() -> None:
    read = read_upload(hostile.heic())
    assert (read.format, read.kept.media_type) == ("heic", "image/jpeg")
    assert apart(read.pixels, hostile.photo()) < 6
    assert_upright(read.pixels)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    assert apart(read_upload(hostile.grey16()).pixels, hostile.photo().convert("L")) == 0
    assert apart(read_upload(hostile.rgb16()).pixels, hostile.photo()) == 0


def test_what_is_transparent_lies_on_white() -> None:
    pixels = read_upload(hostile.encode(hostile.with_alpha(), "PNG")).pixels
    alpha = np.asarray(hostile.with_alpha())[..., 3:].astype(float) / 255
    expected = np.asarray(hostile.photo()) * alpha + 255 * (1 - alpha)
    assert np.abs(pixels - expected).max() <= 1
    assert np.abs(read_upload(hostile.heic(hostile.with_alpha())).pixels - expected).mean() < 6


@pytest.mark.parametrize(("depth", "clear"), [(1, 1), (2, 2), (4, 7), (8, 90), (16, 0x1234)])
def test_the_clear_colour_of_a_grey_png_is_white_at_every_depth(depth: int, clear: int) -> None:
    row = np.full(64 * depth // 8, int(f"{clear:0{depth}b}" * (8 // depth), 2) if depth < 8 else clear & 0xFF, np.uint8)
    raw = struct.pack(">H", clear) * 64 if depth == 16 else row.tobytes()
    other = bytes(len(raw))  # the lower half holds 0 and stays black
    tables = hostile.chunk(b"tRNS", struct.pack(">H", clear))
    pixels = read_upload(hostile.png(64, 64, depth, 0, iter([raw] * 32 + [other] * 32), tables)).pixels
    assert (pixels[:32] == 255).all()
    assert (pixels[32:] == 0).all()


def test_the_clear_colour_of_an_rgb_png_is_white() -> None:
    for depth, form in ((8, "B"), (16, "H")):
        row = struct.pack(f">{3 * 64}{form}", *(10, 20, 30) * 32, *(10, 20, 130) * 32)
        tables = hostile.chunk(b"tRNS", struct.pack(">3H", 10, 20, 30))
        pixels = read_upload(hostile.png(64, 64, depth, 2, iter([row] * 64), tables)).pixels
        assert (pixels[:, :32] == 255).all()
        assert (pixels[:, 32:] != 255).all() or depth == 16


def test_interlaced_png_is_read() -> None:
    """One pass after the other (Adam7), written by hand since Pillow cannot."""
    grey = np.asarray(hostile.photo().convert("L").resize((45, 37)))
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    raw = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in grey[y::dy, x::dx])
    header = hostile.chunk(b"IHDR", struct.pack(">IIBBBBB", 45, 37, 8, 0, 0, 0, 1))
    data = b"\x89PNG\r\n\x1a\n" + header + hostile.chunk(b"IDAT", zlib.compress(raw)) + hostile.chunk(b"IEND", b"")
    assert (read_upload(data).pixels[..., 0] == grey).all()


def test_a_wide_colour_profile_is_turned_into_srgb() -> None:
    """Reference: Little CMS itself, from the profile to sRGB."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(hostile.display_p3()))
    expected = ImageCms.profileToProfile(hostile.photo(), profile, ImageCms.createProfile("sRGB"))
    assert expected is not None
    assert apart(np.asarray(hostile.photo()), expected) > 4
    for kind in ("PNG", "WEBP"):
        data = hostile.encode(hostile.photo(), kind, icc_profile=hostile.display_p3(), lossless=True)
        assert apart(read_upload(data).pixels, expected) < 0.1
    data = hostile.jpeg(icc_profile=hostile.display_p3(), quality=95, subsampling=0)
    assert apart(read_upload(data).pixels, expected) < 2


def test_an_srgb_profile_changes_no_pixel() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = hostile.encode(hostile.photo(), "PNG", icc_profile=srgb)
    assert apart(read_upload(data).pixels, hostile.photo()) == 0


def test_a_profile_for_another_kind_of_picture_is_ignored() -> None:
    grey = hostile.photo().convert("L")
    data = hostile.encode(grey, "PNG", icc_profile=hostile.display_p3())
    assert apart(read_upload(data).pixels, grey) == 0


def test_a_bomb_is_refused_from_its_header_without_the_memory() -> None:
    data = hostile.bomb()
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(TooManyPixels) as refusal:
        read_upload(data)
    took, (_, peak) = time.process_time() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.value.fields == {"limit": 60_000_000, "width": 30_000, "height": 30_000}
    assert took < 0.2
    assert peak < 2_000_000


@pytest.mark.parametrize("rows", [0, 63, 65, 100_000])
def test_a_png_that_does_not_unpack_to_just_its_picture_is_refused(rows: int) -> None:
    with pytest.raises(Undecodable):
        read_upload(hostile.png(64, 64, 8, 0, iter([bytes(64)] * rows)))


def test_a_wrong_checksum_counts_outside_the_picture_data_too() -> None:
    data = bytearray(hostile.encode(hostile.photo().quantize(16), "PNG"))
    data[data.index(b"PLTE") + 6] ^= 1
    with pytest.raises(Undecodable):
        read_upload(bytes(data))


def test_a_jpeg_of_very_many_scans_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each scan costs the decoder the whole picture; a photo has about ten."""
    data = hostile.jpeg(progressive=True)
    scans = data.count(b"\xff\xda")
    monkeypatch.setattr(jpeg, "MAX_SCANS", scans)
    read_upload(data)
    monkeypatch.setattr(jpeg, "MAX_SCANS", scans - 1)
    with pytest.raises(Undecodable):
        read_upload(data)


def test_no_codec_but_the_wanted_one_ever_sees_an_upload() -> None:
    for kind in ("GIF", "TIFF", "BMP", "JPEG"):
        with pytest.raises(Undecodable):
            open_with_pillow(hostile.encode(hostile.photo(), kind), "PNG")


def test_limits_are_the_callers() -> None:
    data = hostile.jpeg()
    read_upload(data, PhotoLimits(max_bytes=len(data), max_pixels=480 * 360, min_side=360, max_aspect=480 / 360))
    with pytest.raises(TooManyBytes):
        read_upload(data, PhotoLimits(max_bytes=len(data) - 1))
    with pytest.raises(TooManyPixels):
        read_upload(data, PhotoLimits(max_pixels=480 * 360 - 1))
    with pytest.raises(TooSmall):
        read_upload(data, PhotoLimits(min_side=361))


def test_limits_hold_for_heic_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leafloop.vision.formats.heic.keep", lambda data: pytest.fail("decoded"))
    with pytest.raises(TooManyPixels):
        read_upload(hostile.heic(), PhotoLimits(max_pixels=100_000))


def test_the_kept_copy_gives_the_same_pixels_again() -> None:
    for data in (hostile.turned(6), hostile.heic(), hostile.encode(hostile.with_alpha(), "WEBP")):
        read = read_upload(data)
        assert (read_kept(read.kept.data) == read.pixels).all()


def test_a_kept_copy_is_never_a_heic() -> None:
    with pytest.raises(UnsupportedType):
        read_kept(hostile.heic())


def test_padding_of_a_camera_is_cut_away_and_the_photo_read() -> None:
    read = read_upload(hostile.padded_scan())
    assert (read.pixels == read_upload(hostile.jpeg()).pixels).all()
    assert b"\x55" * 12 not in read.kept.data


def test_a_photo_can_be_pickled_since_decoding_may_move_to_another_process() -> None:
    read = read_upload(hostile.jpeg())
    again = pickle.loads(pickle.dumps(read))
    assert (again.pixels == read.pixels).all()
    assert (again.sha256, again.kept) == (read.sha256, read.kept)


def test_the_same_bytes_give_the_same_photo() -> None:
    first, second = read_upload(hostile.heic()), read_upload(hostile.heic())
    assert first.kept == second.kept
    assert (first.pixels == second.pixels).all()


def test_pillow_is_not_told_to_fill_up_cut_files() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_no_codec_with_known_holes_is_installed() -> None:
    assert photo.outdated_codecs() == {}
    assert {"pillow", "libheif"} <= set(photo.codec_versions())


def test_an_old_codec_is_named_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo, "codec_versions", lambda: {"pillow": "13.0.0", "libheif": "1.21.9", "libwebp": "1.6.0"})
    assert photo.outdated_codecs() == {"libheif": "1.22.0"}


@functools.cache
def small_files() -> list[bytes]:
    """One small file of each kind, with metadata, so that damage hits every part of it."""
    small = hostile.photo().resize((64, 48))
    tags, profile = hostile.telling_exif(6), hostile.display_p3()
    return [
        hostile.encode(small, "JPEG", exif=tags, icc_profile=profile),
        hostile.encode(small, "JPEG", progressive=True, comment=b"words"),
        hostile.encode(small.convert("CMYK"), "JPEG"),
        hostile.encode(small, "PNG", exif=tags, icc_profile=profile),
        hostile.encode(small.quantize(16), "PNG", transparency=3),
        hostile.encode(small, "WEBP", exif=tags, icc_profile=profile),
        hostile.encode(hostile.with_alpha().resize((64, 48)), "WEBP"),
        hostile.heic(small),
    ]


def read_or_refuse(data: bytes) -> None:
    try:
        read = read_upload(data)
    except PhotoError:
        return
    assert read.pixels.shape == (read.height, read.width, 3)
    assert (read_kept(read.kept.data) == read.pixels).all()


@settings(max_examples=100, deadline=None)
@given(which=st.integers(0, 7), share=st.floats(0, 1))
def test_a_cut_file_is_read_or_refused(which: int, share: float) -> None:
    data = small_files()[which]
    read_or_refuse(data[: int(len(data) * share)])


@settings(max_examples=100, deadline=None)
@given(
    which=st.integers(0, 7),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=8),
)
def test_a_damaged_file_is_read_or_refused(which: int, flips: list[tuple[float, int]]) -> None:
    data = bytearray(small_files()[which])
    for at, mask in flips:
        data[int(at * len(data))] ^= mask
    read_or_refuse(bytes(data))


@settings(max_examples=100, deadline=None)
@given(which=st.integers(0, 7), at=st.floats(0, 1), put=st.binary(max_size=40), drop=st.integers(0, 40))
def test_a_file_with_a_part_replaced_is_read_or_refused(which: int, at: float, put: bytes, drop: int) -> None:
    data = small_files()[which]
    place = int(at * len(data))
    read_or_refuse(data[:place] + put + data[place + drop :])


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PhotoError):
        read_upload(data)


def test_a_flat_walk_does_not_take_seconds_on_a_file_made_to_be_slow() -> None:
    """30 MB of fill bytes, of empty comments, of stuffed zeros, of blanks before an SVG that never comes."""
    for data in (
        b"\xff\xd8" + b"\xff" * 29_000_000,
        b"\xff\xd8" + b"\xff\xfe\0\2" * 7_000_000,
        hostile.jpeg()[:-2] + b"\xff\0" * 14_000_000,
        b"\x89PNG\r\n\x1a\n" + hostile.chunk(b"tEXt", b"") * 2_000_000,
        b" " * 29_000_000,
    ):
        begun = time.process_time()
        with pytest.raises(PhotoError):
            read_upload(data)
        assert time.process_time() - begun < 1


def test_size_is_told_without_decoding() -> None:
    assert jpeg.read_size(hostile.turned(6)) == (360, 480)
