"""The one assembly of everything below HTTP, for the service and the command line. Knows how parts fit, not what they do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import leafloop
from leafloop import log, taxonomy
from leafloop.errors import BlobCorrupt, BlobMissing, BundleRejected, PromotionConflict, ReadOnly, Unavailable
from leafloop.learning import registry
from leafloop.live import promotion
from leafloop.live.answering import Answering
from leafloop.live.serving import CHAMPION, Live, Serving, Wanted
from leafloop.live.uploads import Uploads
from leafloop.settings import Settings
from leafloop.storage import models
from leafloop.storage.blobs import BlobStore, open_blobs
from leafloop.storage.durable import make_folder
from leafloop.storage.ledger import Ledger
from leafloop.taxonomy import Taxonomy
from leafloop.vision.bundle import MANIFEST, Bundle, open_bundle
from leafloop.vision.decoders import Decoders
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
    """What is kept, and what answers. `start()` is the service's to call; without it the first answer loads the model."""

    decoders: Decoders
    serving: Serving
    answering: Answering
    uploads: Uploads

    def start(self) -> None:
        """Make ready what the first photo would have to wait for, and follow the pointer from now on."""
        with contextlib.suppress(Unavailable):  # the service starts all the same, and `/ready` says what is wrong
            self.decoders.start()
        self.serving.start()

    def close(self) -> None:
        self.serving.close()
        self.decoders.close()
        super().close()


def open_parts(settings: Settings, *, bundled: Path = BUNDLED) -> Parts:
    """Everything below HTTP. Raises what `open_store` raises, and `ReadOnly` where nothing could be kept.

    A model that does not load is said by `serving.ready()` instead."""
    store = open_store(settings, bundled=bundled)
    _refuse_read_only(store)
    serving = Serving(store.ledger, _loader(store, bundled), poll_seconds=settings.pointer_poll_seconds)
    decoders = Decoders(PhotoLimits(max_bytes=settings.max_upload_bytes, max_pixels=settings.max_pixels))
    answering = Answering(
        store.ledger,
        store.blobs,
        serving,
        decoders,
        settings.max_waiting,
        review_random_share=settings.review_random_share,
        location_decimals=settings.location_decimals,
    )
    uploads = Uploads(store.ledger, store.blobs, answering, settings.max_upload_bytes)
    return Parts(settings, store.taxonomy, store.ledger, store.blobs, decoders, serving, answering, uploads)


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


def _refuse_read_only(store: Store) -> None:
    """What is away may come back, and `/ready` says so meanwhile; what cannot be written is for an operator, now."""
    try:
        store.ledger.check_writable()
        store.blobs.check()
    except ReadOnly:
        store.close()
        raise
    except Unavailable as error:
        _log.warning("not everything is there yet", code=error.code, detail=error.detail)


def cache_of(settings: Settings) -> Path:
    """Where bundles are unpacked, to be loaded. It may be deleted at any time."""
    return settings.home / "cache" / "bundles"


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


def _loader(store: Store, bundled: Path) -> Callable[[Wanted], Live]:
    cache = cache_of(store.settings)
    threads = store.settings.inference_threads or None
    precision = "f32" if store.settings.precision == "f32" else "bf16"  # bf16 is used only where the processor has it

    def load(wanted: Wanted) -> Live:
        bundle = _fetch(wanted.bundle_hash, store.blobs, cache, bundled)
        registry.refuse_other_classes(bundle.taxonomy.class_names, store.taxonomy)
        # Compiled, probed and tried on its self-test photo: it is warm when it is switched to.
        reader = Reader(bundle, threads=threads, precision=precision)
        return Live(wanted.version, wanted.name, wanted.bundle_hash, reader)

    return load


def _fetch(bundle_hash: str, blobs: BlobStore, cache: Path, bundled: Path) -> Bundle:
    """The bundle; the package's own heals itself, for whoever has the package has its files."""
    try:
        return registry.fetch_bundle(bundle_hash, blobs, cache)
    except (BlobCorrupt, BlobMissing) as error:
        try:
            own = open_bundle(bundled, expected_hash=bundle_hash)
        except BundleRejected:
            raise error from None
        _log.error("stored model is damaged; brought again from the package", bundle=bundle_hash, detail=error.detail)
        registry.put_bundle(own, blobs)
        return registry.fetch_bundle(bundle_hash, blobs, cache)
