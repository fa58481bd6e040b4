"""A dataset in a zip archive, unpacked without believing a word of it. Knows no format.

Names are looked at before anything is written, and written files get names of ours: what the archive calls them is a word to look
them up by. Sizes are counted as they come out, not read from the archive. Archives inside are not opened; tar is not taken, since
its own library's filter was got round three times in 2025 (CVE-2025-4517, -4330, -4435).
"""

from __future__ import annotations

import posixpath
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from leafloop.learning.datasets.formats.dataset import PICTURES
from leafloop.learning.datasets.formats.files import MOST_FILES, Files, inside
from leafloop.learning.datasets.formats.problems import Problem, Wrong, problem

MOST_BYTES = 200 * 1024**3  # in all: 100,000 photos of 2 MB
LARGEST = 256 * 1024**2  # of one file: the largest annotation file that is read; a photo has less
RATIO = 100  # deflate reaches 1,032; photos reach 1.1, label files 10
RATIO_FROM = 1024**2  # bytes: a small file of equal lines packs better than that, and does no harm
PIECE = 1024**2
WANTED = PICTURES | {".txt", ".json", ".yaml", ".yml"}
ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"})
PACKING = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, RuntimeError)

Say = Callable[[str, int, int], None]


def unpacked(path: Path, into: Path, say: Say = lambda _what, _done, _of: None) -> Files:
    """The files of a zip archive, written into a folder of ours. Raises `Wrong`; then the folder is the caller's to remove."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_FILES:
                raise Wrong(problem("archive_unsafe", path.name, f"it has more than {MOST_FILES} files"))
            if problems := _looked_at(members):
                return Files(path.stem, {}, tuple(problems))  # all reasons at once, and nothing written
            return _written(archive, members, path, into, say)
    except _BROKEN as error:
        raise Wrong(problem("archive_unsafe", path.name, f"it cannot be unpacked: {error}")) from None


def _looked_at(members: list[zipfile.ZipInfo]) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[str] = set()
    for member in members:
        if why := _fault(member):
            problems.append(problem("archive_unsafe", member.orig_filename, why))
            continue
        name = (inside("", member.filename.rstrip("/")) or "").casefold()
        if not member.is_dir() and name in seen:
            problems.append(problem("archive_unsafe", member.orig_filename, "two files have this name"))
        seen.add(name)
    return problems


def _fault(member: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(member.external_attr >> 16)  # of the system that made it; 0 where it has no such thing
    if "\0" in member.orig_filename or not inside("", member.orig_filename.rstrip("/")):
        return "its name leads out of the archive"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is a link or a device"
    if member.flag_bits & 0x1:
        return "it is encrypted"
    if member.compress_type not in PACKING:
        return "it is packed in a way that is not taken: use ordinary zip"
    return None


def _written(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], path: Path, into: Path, say: Say) -> Files:
    most = min(MOST_BYTES, RATIO * path.stat().st_size + RATIO_FROM)
    paths: dict[str, Path] = {}
    problems: list[Problem] = []
    total = 0
    for number, member in enumerate(members, start=1):
        name = inside("", member.filename.rstrip("/")) or ""
        suffix = posixpath.splitext(name)[1].lower()
        if member.is_dir() or name.split("/")[0] == "__MACOSX":
            continue
        if suffix in ARCHIVES:
            problems.append(
                problem("archive_in_archive", name, "it was not opened: unpack it, and import what is in it")
            )
        elif suffix in WANTED:
            paths[name] = into / f"{number:07d}{suffix}"
            total += _write(archive, member, paths[name], most - total)
        say("unpack", number, len(members))
    return Files(path.stem, paths, tuple(problems))


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Write one member; its bytes, counted as they come. Raises `Wrong` as soon as they are too many."""
    most = min(LARGEST, max(RATIO_FROM, RATIO * member.compress_size), left)
    count = 0
    with archive.open(member) as packed, target.open("xb") as file:
        while piece := packed.read(PIECE):
            count += len(piece)
            if count > most:
                raise Wrong(
                    problem(
                        "archive_unsafe",
                        member.filename,
                        f"it unpacks to more than {most} bytes: more than {RATIO} times its packed size, or more than is taken",
                    )
                )
            file.write(piece)
    return count
