"""The object store: what is put comes back, byte for byte, or a clear error does."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

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


def test_a_rotten_object_is_never_served_and_a_second_upload_heals_it(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    key = blobs.put(b"x" * 1000)
    path = next(tmp_path.glob(f"??/??/{key}"))
    path.write_bytes(b"x" * 999 + b"y")
    with pytest.raises(BlobCorrupt, match=key[:12]):
        blobs.get(key)
    blobs.put(b"x" * 1000)
    assert blobs.get(key) == b"x" * 1000


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
def test_a_failing_sync_is_never_acknowledged_and_leaves_no_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def fail(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    blobs = LocalBlobs(tmp_path)
    blobs.put(b"first")  # its folders are there
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind):
        blobs.put(b"leaf")
    monkeypatch.undo()
    assert not [path for path in tmp_path.rglob("*.tmp")]


def test_a_store_that_is_not_there_says_so_and_keeps_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-indeed")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(StorageError) as refused:
        open_blobs("s3://leaf").put(b"leaf")
    assert "very-secret-indeed" not in refused.value.detail


@pytest.mark.parametrize("url", ["ftp://x/y", "s3://", "file://host/x", "/just/a/path", ""])
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
