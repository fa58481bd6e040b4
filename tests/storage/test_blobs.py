"""The object store: what is put comes back, byte for byte, or a clear error does."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from leafloop.errors import (
    BlobCorrupt,
    BlobMissing,
    ConfigurationInvalid,
    NotFound,
    ReadOnly,
    StorageError,
    StorageFull,
)
from leafloop.storage.blobs import BlobStore, LocalBlobs, open_blobs
from leafloop.storage.folder import RESERVE_BYTES


def test_what_is_put_comes_back_under_the_hash_of_its_bytes(blobs: BlobStore) -> None:
    data = os.urandom(100_000)
    key = blobs.put(data)
    assert key == hashlib.sha256(data).hexdigest()
    assert blobs.get(key) == data
    assert blobs.has(key)
    assert list(blobs.keys()) == [key]


def test_putting_twice_is_the_same_as_once(blobs: BlobStore) -> None:
    assert blobs.put(b"leaf") == blobs.put(b"leaf")
    assert len(list(blobs.keys())) == 1


def test_what_was_deleted_is_gone_and_deleting_again_is_no_error(blobs: BlobStore) -> None:
    key = blobs.put(b"leaf")
    blobs.delete(key)
    blobs.delete(key)
    assert not blobs.has(key)
    with pytest.raises(BlobMissing):
        blobs.get(key)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "",
        "A" * 64,
        "a" * 63,
        "a" * 65,
        "/" + "a" * 63,
        "a" * 32 + "/../" + "a" * 28,
        "a" * 63 + "\n",
    ],
)
def test_only_a_hash_can_be_asked_for(blobs: BlobStore, name: str) -> None:
    for call in (blobs.get, blobs.has, blobs.delete):
        with pytest.raises(NotFound):
            call(name)


def test_the_check_leaves_nothing_behind(blobs: BlobStore) -> None:
    blobs.check()
    assert list(blobs.keys()) == []


def test_a_check_every_second_does_not_fill_the_folder_with_folders(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    for _ in range(80):
        blobs.check()
    assert len(list(tmp_path.glob("??/??"))) <= 64


def test_checks_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(blobs.check) for _ in range(100)]:
            done.result(timeout=30)


def test_an_object_that_another_left_unsynced_is_not_believed_but_written_and_synced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LocalBlobs(tmp_path).put(b"leaf")
    sync, synced = os.fsync, []

    def watched(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    key = LocalBlobs(tmp_path).put(b"leaf")
    folder = tmp_path / key[:2] / key[2:4]
    assert [path for path in synced if path.endswith(".tmp")]
    assert {str(folder), str(folder.parent), str(tmp_path)} <= set(synced)


def test_a_store_whose_empty_folders_were_swept_away_goes_on(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    blobs.put(b"leaf")
    shutil.rmtree(tmp_path / "blobs")
    assert blobs.get(blobs.put(b"leaf")) == b"leaf"


def test_many_at_once_may_put_the_same_and_others(tmp_path: Path) -> None:
    blobs, photos = LocalBlobs(tmp_path), [bytes([i % 4]) * 50_000 for i in range(32)]
    with ThreadPoolExecutor(8) as pool:
        keys = [done.result(timeout=30) for done in [pool.submit(blobs.put, photo) for photo in photos]]
    assert [blobs.get(key) for key in keys] == photos
    assert len(list(blobs.keys())) == 4


def test_a_rotten_object_is_never_served_and_a_second_upload_heals_it(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    key = blobs.put(b"x" * 1000)
    path = next(tmp_path.glob(f"??/??/{key}"))
    path.write_bytes(b"x" * 999 + b"y")
    with pytest.raises(BlobCorrupt, match=key[:12]):
        blobs.get(key)
    blobs.put(b"x" * 1000)
    assert blobs.get(key) == b"x" * 1000


def _rotten(tmp_path: Path) -> tuple[LocalBlobs, str, Path]:
    blobs = LocalBlobs(tmp_path)
    key = blobs.put(b"x" * 1000)
    path = next(tmp_path.glob(f"??/??/{key}"))
    path.write_bytes(b"x" * 999 + b"y")
    return blobs, key, path


def test_a_rotten_object_is_set_aside_and_stays_rotten_until_its_bytes_come_from_somewhere(tmp_path: Path) -> None:
    blobs, key, path = _rotten(tmp_path)
    for look in (blobs.get, blobs.verify, blobs.get):
        with pytest.raises(BlobCorrupt):
            look(key)
    assert not blobs.has(key)
    assert list(blobs.keys()) == []
    assert [left.name for left in path.parent.iterdir()] == [f"{key}.rotten"]
    path.write_bytes(b"x" * 1000)
    assert blobs.get(key) == b"x" * 1000
    blobs.put(b"x" * 1000)
    assert [left.name for left in path.parent.iterdir()] == [key]


def test_deleting_takes_what_was_set_aside_along(tmp_path: Path) -> None:
    blobs, key, path = _rotten(tmp_path)
    with pytest.raises(BlobCorrupt):
        blobs.get(key)
    blobs.delete(key)
    assert list(path.parent.iterdir()) == []


def test_an_object_that_is_healed_while_it_is_set_aside_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, key, path = _rotten(tmp_path)
    set_aside = LocalBlobs._set_aside

    def healed_first(self: LocalBlobs, *args: object) -> bytes:
        blobs.put(b"x" * 1000)
        return set_aside(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalBlobs, "_set_aside", healed_first)
    assert blobs.get(key) == b"x" * 1000
    assert path.read_bytes() == b"x" * 1000


def test_a_whole_object_that_a_crash_left_set_aside_is_taken_back(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    key = blobs.put(b"leaf")
    path = next(tmp_path.glob(f"??/??/{key}"))
    path.rename(path.with_name(f"{key}.rotten"))
    assert blobs.get(key) == b"leaf"
    assert path.is_file()


def test_photos_stop_before_the_reserve_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs, disk = LocalBlobs(tmp_path), os.statvfs(tmp_path)

    def with_free(size: int) -> Callable[[Path], SimpleNamespace]:
        return lambda _: SimpleNamespace(f_blocks=disk.f_blocks, f_frsize=1, f_bavail=size)

    monkeypatch.setattr(os, "statvfs", with_free(RESERVE_BYTES + 3))
    with pytest.raises(StorageFull):
        blobs.put(b"leaf")
    monkeypatch.setattr(os, "statvfs", with_free(RESERVE_BYTES + 4))
    assert blobs.get(blobs.put(b"leaf")) == b"leaf"


def test_objects_are_listed_with_their_size_and_age(blobs: BlobStore) -> None:
    key = blobs.put(b"leaf")
    (stored,) = blobs.objects()
    assert (stored.name, stored.bytes) == (key, 4)
    assert abs(stored.modified - time.time()) < 120
    assert list(blobs.drafts()) == []


def test_what_is_whole_is_verified_and_what_is_not_there_is_missing(blobs: BlobStore) -> None:
    blobs.verify(blobs.put(b"leaf"))
    with pytest.raises(BlobMissing):
        blobs.verify("a" * 64)


def test_what_a_crash_left_half_written_is_no_object(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    key = blobs.put(b"leaf")
    path = next(tmp_path.glob(f"??/??/{key}"))
    path.with_name(f".{key}.0badcafe.tmp").write_bytes(b"le")
    assert list(blobs.keys()) == [key]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EROFS, ReadOnly), (errno.EIO, StorageError)],
)
@pytest.mark.parametrize("suffix", [".tmp", ""], ids=["file", "folder"])
def test_a_failing_sync_is_never_acknowledged_and_leaves_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, number: int, kind: type[Exception]
) -> None:
    sync = os.fsync

    def fail(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").readlink().suffix == suffix:
            raise OSError(number, os.strerror(number))
        sync(handle)

    blobs = LocalBlobs(tmp_path)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind):
        blobs.put(b"leaf")
    if suffix == ".tmp":
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    monkeypatch.undo()
    assert blobs.get(blobs.put(b"leaf")) == b"leaf"


def test_a_store_that_is_not_there_says_so_and_keeps_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-indeed")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(StorageError) as refused:
        open_blobs("s3://leaf").put(b"leaf")
    assert "very-secret-indeed" not in refused.value.detail


@pytest.mark.parametrize("url", ["ftp://x/y", "s3://", "s3://leaf/a/../b", "file://host/x", "/just/a/path", ""])
def test_an_unknown_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="LEAFLOOP_BLOBS_URL"):
        open_blobs(url)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_an_object_is_synced_before_it_is_renamed_and_each_new_folder_after(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    program = f"from leafloop.storage.blobs import open_blobs; open_blobs('file://{tmp_path}/blobs').put(b'leaf')"
    command = ["strace", "-f", "-y", "-e", "trace=fsync,rename,mkdir", "-o", str(trace), sys.executable, "-c", program]
    subprocess.run(command, check=True, timeout=60)
    calls = [line for line in trace.read_text().splitlines() if str(tmp_path / "blobs") in line]
    synced = next(i for i, line in enumerate(calls) if "fsync" in line and ".tmp>" in line)
    renamed = next(i for i, line in enumerate(calls) if "rename" in line)
    assert synced < renamed
    assert "fsync" in calls[renamed + 1]  # its folder
    made = [line for line in calls[:synced] if "mkdir" in line]
    assert len(made) == 3  # blobs, ab, cd
    folders_synced = [line for line in trace.read_text().splitlines() if "fsync" in line and ".tmp>" not in line]
    assert len(folders_synced) == 4
