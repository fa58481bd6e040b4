"""Small disks of one's own, to be filled, cut off and spoilt: tmpfs, and ext4 in a file. Where mounting is not allowed, the test skips."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def _run(*words: str | Path) -> None:
    try:
        subprocess.run(words, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or b""
        pytest.skip(f"this machine does not let us run {' '.join(map(str, words))}: {error} {said.decode()[:200]}")


@contextmanager
def mounted(at: Path, *options: str | Path) -> Iterator[Path]:
    at.mkdir(parents=True, exist_ok=True)
    _run("mount", *options, at)
    try:
        yield at
    finally:  # lazily: a process of the test may not be gone yet
        subprocess.run(["umount", "--lazy", at], check=True, timeout=60)


def tmpfs(at: Path, size: str) -> Iterator[Path]:
    with mounted(at, "-t", "tmpfs", "-o", f"size={size}", "none") as disk:
        yield disk


def make_ext4(image: Path, size: int) -> None:
    """An ext4 in a file, as a disk would be formatted."""
    with image.open("wb") as file:
        file.truncate(size)
    _run("mkfs.ext4", "-q", "-m", "0", image)


def ext4(image: Path, at: Path, size: int) -> Iterator[Path]:
    """A mounted ext4 that becomes read-only when it finds a fault, as disks of servers are set up."""
    make_ext4(image, size)
    with mounted(at, "-o", "loop,errors=remount-ro", image) as disk:
        yield disk


def mend(image: Path, at: Path) -> None:
    """What an operator does with a disk that turned read-only: unmount, check, mount again."""
    subprocess.run(["umount", at], check=True, timeout=60)
    checked = subprocess.run(["fsck.ext4", "-f", "-y", image], capture_output=True, text=True, timeout=60)
    assert checked.returncode in (0, 1), checked.stdout + checked.stderr  # 1: what was wrong is mended
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, at], check=True, timeout=60)


def fill(disk: Path, leave: int) -> Path:
    """Fill a disk but for `leave` bytes: the file to delete again."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while (room := _free(disk) - leave) > 0:
            file.write(bytes(min(room, 2**20)))
    return ballast


def _free(disk: Path) -> int:
    facts = os.statvfs(disk)
    return facts.f_bavail * facts.f_frsize


def break_the_disk(disk: Path) -> None:
    """Make ext4 believe that it has found a fault: it turns read-only under whatever is open."""
    source = subprocess.run(
        ["findmnt", "-n", "-o", "SOURCE", disk], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()
    assert source.startswith("/dev/loop"), source  # never another disk than our own
    trigger = Path("/sys/fs/ext4") / Path(source).name / "trigger_fs_error"
    try:
        trigger.write_text("made by a test of Leafloop")
    except OSError as error:
        pytest.skip(f"this kernel does not let us break a file system of our own: {error}")
