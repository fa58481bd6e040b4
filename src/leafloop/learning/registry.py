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

from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from leafloop import log
from leafloop.errors import BundleRejected, DatabaseBusy, StorageError
from leafloop.storage import audit, models, named
from leafloop.storage.blobs import BlobStore
from leafloop.storage.ledger import Ledger
from leafloop.taxonomy import Taxonomy
from leafloop.vision.bundle import MANIFEST, Bundle, Manifest, open_bundle

_log = log.get(__name__)

RACES = 5  # imports that may be lost to others at the same moment: models are added by people and by one retrain


def add_bundle(bundle: Bundle, ledger: Ledger, blobs: BlobStore, *, source: str, actor: str) -> str:
    """Keep a bundle and give it the next version; the same bundle again gives the version that it has.

    Its files are stored before its row is, so a version in the ledger can always be loaded. Raises `Unavailable` errors.
    """
    put_bundle(bundle, blobs)
    for _ in range(RACES):
        try:
            return _add(bundle, ledger, blobs, source, actor)
        except IntegrityError:
            _log.info("another model took the number; taking the next", bundle=bundle.hash)
    raise DatabaseBusy


def put_bundle(bundle: Bundle, blobs: BlobStore) -> None:
    """Keep a bundle's files and its manifest; what was lost or rotten of them is whole again."""
    for name in bundle.manifest.files:
        blobs.put(bundle.read(name))
    if blobs.put((bundle.path / MANIFEST).read_bytes()) != bundle.hash:
        raise BundleRejected(f"{bundle.path} was changed while it was read. Import it again.")


def _add(bundle: Bundle, ledger: Ledger, blobs: BlobStore, source: str, actor: str) -> str:
    with ledger.transaction() as session:
        known = models.by_hash(session, bundle.hash)
        if known is not None:
            return known.version
        _hold_files(session, bundle, blobs)
        manifest = json.loads((bundle.path / MANIFEST).read_bytes())
        model = models.add_version(session, bundle_hash=bundle.hash, manifest=manifest, source=source)
        version = model.version
        audit.record(
            session, actor=actor, action="model.add", subject=version, detail={"bundle": bundle.hash, "source": source}
        )
    _log.info("model added", version=version, bundle=bundle.hash, source=source)
    return version


def _hold_files(session: Session, bundle: Bundle, blobs: BlobStore) -> None:
    """No row names the files yet, so a sweeper may have taken old ones that an earlier import left: put those back."""
    keys = [bundle.hash, *(facts.sha256 for facts in bundle.manifest.files.values())]
    for key in sorted(keys):
        named.hold(session, key)
    if not all(blobs.has(key) for key in keys):
        put_bundle(bundle, blobs)


def fetch_bundle(bundle_hash: str, blobs: BlobStore, cache_dir: Path) -> Bundle:
    """The bundle by its hash, opened from `cache_dir/<hash>`, which is filled from the object store when it must be.

    Raises `BundleRejected` (not a valid bundle), `BlobMissing`, `BlobCorrupt` and the other `Unavailable` errors.
    """
    folder = cache_dir / bundle_hash
    if folder.is_dir():
        try:
            return open_bundle(folder, expected_hash=bundle_hash)
        except BundleRejected as error:  # a cache is never believed, and never a reason to fail
            _log.warning(
                "cached bundle is not as it was stored; fetching it again", bundle=bundle_hash, detail=error.detail
            )
            shutil.rmtree(folder, ignore_errors=True)
    _fill(folder, bundle_hash, blobs)
    return open_bundle(folder, expected_hash=bundle_hash)


def _fill(folder: Path, bundle_hash: str, blobs: BlobStore) -> None:
    """Bring the files beside, then rename: a folder in the cache is whole, also with two processes at it."""
    raw = blobs.get(bundle_hash)
    manifest = _parsed(raw)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".fetch-", dir=folder.parent))
    try:
        (draft / MANIFEST).write_bytes(raw)
        for name, facts in manifest.files.items():  # names are from the fixed list of `vision.bundle`: none is a path
            (draft / name).write_bytes(blobs.get(facts.sha256))
        draft.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # else another process was first, with the same bytes
            raise StorageError(f"The model cannot be unpacked to {folder.parent} ({error.strerror}).") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _parsed(raw: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError:
        raise BundleRejected("The ledger names a bundle whose manifest this version cannot read.") from None


def list_versions(ledger: Ledger) -> list[dict[str, Any]]:
    """Every version as plain data, newest first: `version, aliases[], name, bundle, licence, source, created_at`."""
    with ledger.reading() as session:
        return [
            {
                "version": model.version,
                "aliases": aliases,
                "name": model.name,
                "bundle": model.bundle_hash,
                "licence": model.licence,
                "source": model.source,
                "created_at": model.created_at.isoformat(),
            }
            for model, aliases in models.list_all(session)
        ]


def class_names(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes that a manifest in the ledger names, in order."""
    return tuple(c["name"] for c in manifest["taxonomy"]["classes"])


def refuse_other_classes(theirs: tuple[str, ...], taxonomy: Taxonomy) -> None:
    """Raise `BundleRejected` unless a model answers the very classes of `taxonomy`, in their order (rule 8)."""
    if theirs != taxonomy.class_names:
        raise BundleRejected(
            f"The model's classes are {', '.join(theirs)}; those of {taxonomy.name} are {', '.join(taxonomy.class_names)}. "
            "Names and order have to be the same: set LEAFLOOP_TAXONOMY to the model's class set, or take another model."
        )
