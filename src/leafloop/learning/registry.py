"""Model bundles by version: keeps them in the object store and the ledger, brings them back verified. Knows not which one answers.

A bundle's files are objects by their hash, and its manifest is the object whose key is the bundle's hash: the manifest names all
others with their hashes, so one hash in the ledger vouches for every byte that is loaded.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leafloop import log
from leafloop.errors import BundleRejected
from leafloop.storage import audit, models
from leafloop.storage.blobs import BlobStore
from leafloop.storage.ledger import Ledger
from leafloop.taxonomy import Taxonomy
from leafloop.vision.bundle import Bundle, open_bundle

_log = log.get(__name__)

MANIFEST = "manifest.json"


def add_bundle(bundle: Bundle, ledger: Ledger, blobs: BlobStore, *, source: str, actor: str) -> str:
    """Keep a bundle and give it the next version; the same bundle again gives the version that it has.

    Its files are stored before its row is, so a version in the ledger can always be loaded. Raises `Unavailable` errors.
    """
    manifest = (bundle.folder / MANIFEST).read_bytes()
    for name in sorted(bundle.manifest["files"]):
        blobs.put((bundle.folder / name).read_bytes())
    if blobs.put(manifest) != bundle.hash:
        raise BundleRejected(f"{bundle.folder} was changed while it was read. Import it again.")
    with ledger.transaction() as session:
        known = models.by_hash(session, bundle.hash)
        if known is not None:
            return known.version
        model = models.add_version(session, bundle_hash=bundle.hash, manifest=bundle.manifest, source=source)
        audit.record(session, actor=actor, action="model.add", subject=model.version, detail={"bundle": bundle.hash, "source": source})
        _log.info("model added", version=model.version, bundle=bundle.hash, source=source)
        return model.version


def fetch_bundle(bundle_hash: str, blobs: BlobStore, cache_dir: Path) -> Bundle:
    """The bundle by its hash, opened from `cache_dir/<hash>`, which is filled from the object store when it must be.

    Raises `BundleRejected` (not a valid bundle), `BlobMissing`, `BlobCorrupt` and the other `Unavailable` errors.
    """
    folder = cache_dir / bundle_hash
    if folder.is_dir():
        try:
            return open_bundle(folder, expected_hash=bundle_hash)
        except BundleRejected as error:  # a cache is never believed, and never a reason to fail
            _log.warning("cached bundle is not as it was stored; fetching it again", bundle=bundle_hash, detail=error.detail)
            shutil.rmtree(folder, ignore_errors=True)
    _fill(folder, bundle_hash, blobs)
    return open_bundle(folder, expected_hash=bundle_hash)


def _fill(folder: Path, bundle_hash: str, blobs: BlobStore) -> None:
    """Bring the files beside, then rename: a folder in the cache is whole, also with two processes at it."""
    manifest = blobs.get(bundle_hash)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".fetch-", dir=folder.parent))
    try:
        (draft / MANIFEST).write_bytes(manifest)
        for name, entry in _files(manifest).items():
            (draft / name).write_bytes(blobs.get(entry["sha256"]))
        draft.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was first, with the same bytes
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _files(manifest: bytes) -> Mapping[str, Mapping[str, Any]]:
    """The manifest's list of files. Names come from whoever made the bundle: anything but a plain name is refused."""
    try:
        files = json.loads(manifest)["files"]
        entries = {str(name): {"sha256": str(entry["sha256"])} for name, entry in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BundleRejected("The manifest is not one of a bundle.") from None
    for name in entries:
        if Path(name).name != name or name in ("..", MANIFEST) or "\\" in name or "\0" in name:
            raise BundleRejected(f"The manifest names a file '{name[:64]}' outside of its bundle.")
    return entries


def refuse_other_classes(manifest: Mapping[str, Any], taxonomy: Taxonomy) -> None:
    """Raise `BundleRejected` unless the model answers the very classes of `taxonomy`, in their order (rule 8)."""
    theirs = tuple(c["name"] for c in manifest["taxonomy"]["classes"])
    if theirs != taxonomy.class_names:
        raise BundleRejected(
            f"The model's classes are {', '.join(theirs)}; those of {taxonomy.name} are {', '.join(taxonomy.class_names)}. "
            "Names and order have to be the same: set LEAFLOOP_TAXONOMY to the model's class set, or take another model."
        )
