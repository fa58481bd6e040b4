"""Zip archives that were made to do harm (field matrix, row 34): refused as a whole, and nothing is written outside."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from tests.learning.dataset_files import codes, picture, read, yolo, zipped

from leafloop.learning.datasets import formats
from leafloop.learning.datasets.formats import Files, archive

BOX = "1 0.5 0.5 0.2 0.4\n"


def opened(path: Path, tmp_path: Path) -> Files:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return formats.opened(path, scratch)


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_zipped_dataset_reads_as_its_folder_does_under_names_of_ours(tmp_path: Path):
    found = opened(
        zipped(tmp_path / "set.zip", yolo({"train/a": BOX}) | {"README.md": "x", "run.py": "boom"}), tmp_path
    )
    assert sorted(found.paths) == ["data.yaml", "train/images/a.jpg", "train/labels/a.txt"]
    assert everything_in(tmp_path / "scratch") == {"0000001.yaml", "0000002.jpg", "0000003.txt"}
    assert codes(formats.read(found)) == ["side_absent", "side_absent"]


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:\\evil.txt", "C:/evil.txt", "a/\0../b.txt"],
)
def test_a_name_that_leads_out_refuses_the_whole(tmp_path: Path, name: str):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("data.yaml", "names: [a]")
        info = zipfile.ZipInfo("x")
        info.filename = name
        made.writestr(info, "evil")
    found = opened(path, tmp_path)
    assert [p.code for p in found.problems] == ["archive_unsafe"]
    assert found.paths == {}
    assert everything_in(tmp_path) == {"set.zip"}


def test_links_and_devices_are_refused(tmp_path: Path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as made:
        for number, kind in enumerate((stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR)):
            info = zipfile.ZipInfo(f"{number}.txt")
            info.external_attr = (kind | 0o777) << 16
            made.writestr(info, "/etc/passwd")
    assert [p.code for p in opened(path, tmp_path).problems] == ["archive_unsafe"] * 3


def test_two_files_of_one_name_are_refused_also_when_only_their_case_differs(tmp_path: Path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as made:
        for name in ("a.txt", "./a.txt", "A.TXT"):
            made.writestr(name, "x")
    assert len(opened(path, tmp_path).problems) == 2


def test_a_bomb_is_stopped_while_it_unpacks(tmp_path: Path):
    path = zipped(tmp_path / "set.zip", {"data.yaml": "x", "bomb.txt": b"\0" * 50_000_000})
    assert path.stat().st_size < 60_000
    found = opened(path, tmp_path)
    assert [p.code for p in found.problems] == ["archive_unsafe"]
    assert sum(f.stat().st_size for f in (tmp_path / "scratch").iterdir()) < 8_000_000


def test_a_declared_size_is_not_believed(tmp_path: Path):
    """The directory says 10 bytes; 50 million come out."""
    path = zipped(tmp_path / "set.zip", {"bomb.txt": b"\0" * 50_000_000})
    data = bytearray(path.read_bytes())
    for sign, at in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        struct.pack_into("<I", data, data.rindex(sign) + at, 10)
    path.write_bytes(data)
    found = opened(path, tmp_path)
    assert [p.code for p in found.problems] == ["archive_unsafe"]
    assert sum(f.stat().st_size for f in (tmp_path / "scratch").iterdir()) < 8_000_000


def test_many_small_bombs_are_counted_together(tmp_path: Path):
    path = zipped(tmp_path / "set.zip", {f"{number}.txt": b"\0" * 1_000_000 for number in range(60)})
    assert [p.code for p in opened(path, tmp_path).problems] == ["archive_unsafe"]


def test_archives_inside_are_not_opened_and_that_is_said(tmp_path: Path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as made:
        made.writestr("x.txt", "x")
    found = opened(zipped(tmp_path / "set.zip", yolo({"train/a": BOX}) | {"more.zip": inner.getvalue()}), tmp_path)
    assert [(p.code, p.place) for p in found.problems] == [("archive_in_archive", "more.zip")]


def test_too_many_files_encrypted_or_oddly_packed_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as made:
        made.writestr("a.txt", "x")
    assert [p.code for p in opened(path, tmp_path).problems] == ["archive_unsafe"]
    data = bytearray(zipped(path, {"a.txt": "x"}).read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    assert "encrypted" in opened(path, tmp_path).problems[0].detail
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    assert "more than 3 files" in opened(zipped(path, {f"{n}.txt": "x" for n in range(4)}), tmp_path).problems[0].detail


@pytest.mark.parametrize("data", [b"", b"PK\3\4" + b"\0" * 90, b"not a zip at all", picture()])
def test_what_is_no_whole_zip_is_refused(tmp_path: Path, data: bytes):
    path = tmp_path / "set.zip"
    path.write_bytes(data)
    found = opened(path, tmp_path)
    assert [p.code for p in found.problems] == ["archive_unsafe"]
    assert codes(formats.read(found)) == ["archive_unsafe"]


def test_other_archives_are_not_taken(tmp_path: Path):
    path = tmp_path / "set.tar.gz"
    path.write_bytes(b"\x1f\x8b")
    assert codes(read(path)) == ["archive_unsafe"]


def test_a_damaged_member_refuses_the_whole(tmp_path: Path):
    path = zipped(tmp_path / "set.zip", {"a.txt": bytes(range(256)) * 40})
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    assert [p.code for p in opened(path, tmp_path).problems] == ["archive_unsafe"]
