"""The one assembly of everything below HTTP, for the service and the command line. Knows how parts fit, not what they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import leafloop
from leafloop import log, taxonomy
from leafloop.errors import BundleRejected, PromotionConflict, ReadOnly
from leafloop.learning import registry
from leafloop.live import promotion
from leafloop.live.answering import Answering
from leafloop.live.serving import CHAMPION, Live, Serving, Wanted
from leafloop.settings import Settings
from leafloop.storage import models
from leafloop.storage.blobs import BlobStore, open_blobs
from leafloop.storage.durable import make_folder
from leafloop.storage.ledger import Ledger
from leafloop.taxonomy import Taxonomy
from leafloop.vision.bundle import MANIFEST, open_bundle
from leafloop.vision.photo import PhotoLimits
from leafloop.vision.reader import Reader

_log = log.get(__name__)

BUNDLED = Path(leafloop.__file__).parent / "bundled"  # the model that the package brings
_ACTOR = "leafloop"


@dataclass(frozen=True)
class Store:
    """What is kept: enough for keys, models and data. A context manager, as `open_store` gives it."""

    settings: Settings
    taxonomy: Taxonomy
    ledger: Ledger
    blobs: BlobStore

    def close(self) -> None:
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Parts(Store):
    """What is kept, and what answers. `serving.start()` is the service's to call; without it the first answer loads the model."""

    limits: PhotoLimits
    serving: Serving
    answering: Answering

    def close(self) -> None:
        self.serving.close()
        super().close()


def open_parts(settings: Settings, *, bundled: Path = BUNDLED) -> Parts:
    """Everything below HTTP. Raises what `open_store` raises; a model that does not load is said by `serving.ready()` instead."""
    store = open_store(settings, bundled=bundled)
    serving = Serving(store.ledger, _loader(store), poll_seconds=settings.pointer_poll_seconds)
    limits = PhotoLimits(max_bytes=settings.max_upload_bytes, max_pixels=settings.max_pixels)
    answering = Answering(store.ledger, store.blobs, serving, limits, settings.max_waiting)
    return Parts(settings, store.taxonomy, store.ledger, store.blobs, limits, serving, answering)


def open_store(settings: Settings, *, bundled: Path = BUNDLED) -> Store:
    """The ledger and the object store; an empty registry gets the bundled model.

    Raises `SchemaUnknown`, `DatabaseUnavailable`, `ReadOnly`, `StorageError`, `TaxonomyInvalid` and `ConfigurationInvalid`.
    """
    classes = taxonomy.load(settings.taxonomy or taxonomy.BUILT_IN)
    ledger = open_ledger(settings)
    try:
        store = Store(settings, classes, ledger, open_blobs(settings.blobs))
        _bring_bundled(store, bundled)
    except BaseException:
        ledger.close()
        raise
    return store


def open_ledger(settings: Settings) -> Ledger:
    """The ledger alone, its schema checked. A fresh embedded one gets its tables: the file is ours to set up. A server is shared,
    so its schema is changed by `leafloop db upgrade` alone. Raises `SchemaUnknown`, `DatabaseUnavailable` and `ReadOnly`."""
    _make_home(settings.home)
    ledger = Ledger(settings.database)
    try:
        if ledger.is_embedded and ledger.is_empty():
            ledger.upgrade()
        ledger.check()
    except BaseException:
        ledger.close()
        raise
    return ledger


def _make_home(home: Path) -> None:
    try:
        make_folder(home, 0o700)  # photos and keys' hashes are nobody else's business
    except OSError as error:
        raise ReadOnly(
            f"The data folder {home} cannot be made ({error.strerror}). Set LEAFLOOP_HOME to one that can."
        ) from None


def _bring_bundled(store: Store, folder: Path) -> None:
    """Make the package's own model the champion of an empty registry. Without one the service starts, and `/ready` says so."""
    with store.ledger.reading() as session:
        if models.count(session) or not (folder / MANIFEST).is_file():
            return
    try:
        bundle = open_bundle(folder)
        registry.refuse_other_classes(bundle.taxonomy.class_names, store.taxonomy)
        version = registry.add_bundle(bundle, store.ledger, store.blobs, source="bundled", actor=_ACTOR)
        with store.ledger.transaction() as session:
            if models.pointer(session, CHAMPION) is None:  # else another process was first
                promotion.move(
                    session, store.taxonomy, version, reason="bundled, first start", actor=_ACTOR, action="promote"
                )
    except (
        BundleRejected
    ) as error:  # somebody's own class set, or a damaged install: keys, data and pages must still be had
        _log.error("bundled model not taken", detail=error.detail)
    except PromotionConflict:
        _log.info("bundled model promoted by another process")


def _loader(store: Store) -> Callable[[Wanted], Live]:
    cache = store.settings.home / "cache" / "bundles"
    threads = store.settings.inference_threads or None
    precision = "f32" if store.settings.precision == "f32" else "bf16"  # bf16 is used only where the processor has it

    def load(wanted: Wanted) -> Live:
        bundle = registry.fetch_bundle(wanted.bundle_hash, store.blobs, cache)
        registry.refuse_other_classes(bundle.taxonomy.class_names, store.taxonomy)
        # Compiled, probed and tried on its self-test photo: it is warm when it is switched to.
        reader = Reader(bundle, threads=threads, precision=precision)
        return Live(wanted.version, wanted.name, wanted.bundle_hash, reader)

    return load
