"""The object store by its URL: bytes under the hash of the bytes, in a folder or in S3. Knows no table and no photo.

A key is the SHA-256 of what it names, so writing twice is harmless, nothing depends on a conditional write, and every read is
verified. The folder is `storage.folder`; S3 and its like are `storage.bucket`.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from leafloop.errors import ConfigurationInvalid
from leafloop.storage.bucket import S3Blobs
from leafloop.storage.folder import LocalBlobs
from leafloop.storage.objects import BlobStore, Stored, hash_of

__all__ = ["BlobStore", "LocalBlobs", "S3Blobs", "Stored", "hash_of", "open_blobs"]


def open_blobs(url: str) -> BlobStore:
    """A store by its URL: `file:///folder`, or `s3://bucket/prefix` with the standard AWS_* variables."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return LocalBlobs(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        with contextlib.suppress(ValueError):  # a prefix that no object can have, such as one with ".."
            return S3Blobs(parts.netloc, parts.path.strip("/"))
    raise ConfigurationInvalid(
        "LEAFLOOP_BLOBS_URL is not a store that Leafloop knows. Write file:///folder or s3://bucket/prefix.",
        variable="LEAFLOOP_BLOBS_URL",
    )
