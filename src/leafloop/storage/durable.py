"""Files and folders that are there after a power cut, and what a disk's errors mean. Knows no key and no hash.

POSIX promises a file only after its fsync, and a name only after the fsync of the folder that holds it. Without them 20 of 20
acknowledged photos were gone in a power-cut image; without the folder's alone, the last one. All that write raise `OSError`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

from leafloop.errors import ReadOnly, StorageError, StorageFull

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # EFBIG: a limit on file sizes, as of `ulimit -f`
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)


def write_file(path: Path, data: bytes) -> None:
    """Write beside, sync, rename, sync the folder. A draft whose sync failed is thrown away: the kernel forgets such a failure
    after telling it once, so a second sync of the same file would say yes to bytes that are lost."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell; readers pass over drafts
            draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder, with `mode`, and those above it; each one that is new is synced into the one above."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder: what was made, renamed or removed in it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def meaning(error: OSError, folder: str, setting: str) -> StorageError | StorageFull | ReadOnly:
    """The error of ours that tells of a disk's. `folder`: what it is the folder of; `setting`: the variable that names it."""
    if error.errno in _FULL:
        return StorageFull(f"The disk of {folder} is full, so nothing new is taken. An operator has to make room.")
    if error.errno in _READ_ONLY:
        return ReadOnly(
            f"The folder of {folder} cannot be used ({error.strerror}). Check {setting} and its permissions."
        )
    return StorageError(
        f"The folder of {folder} failed ({error.strerror}). Nothing was acknowledged: send it again in a moment."
    )
