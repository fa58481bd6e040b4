"""A bundle is kept as objects and a row, and comes back the same or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.tiny_models import BANANA, tiny_bundle

from leafloop import taxonomy
from leafloop.errors import BlobCorrupt, BlobMissing, BundleRejected
from leafloop.learning import registry
from leafloop.storage import audit
from leafloop.storage.blobs import LocalBlobs
from leafloop.storage.ledger import Ledger
from leafloop.vision.bundle import Bundle


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundle", {"MODEL_CARD.md": b"# Tiny\n"})


def add(bundle: Bundle, ledger: Ledger, blobs: LocalBlobs) -> str:
    return registry.add_bundle(bundle, ledger, blobs, source="test", actor="enzo")


def test_versions_count_up_and_the_same_bundle_keeps_its_own(
    ledger: Ledger, blobs: LocalBlobs, bundle: Bundle, tmp_path: Path
) -> None:
    other = tiny_bundle(tmp_path / "other", name="other")
    assert [add(b, ledger, blobs) for b in (bundle, other, bundle)] == ["1", "2", "1"]
    newest, first = registry.list_versions(ledger)
    assert (newest["version"], newest["name"], newest["bundle"]) == ("2", "other", other.hash)
    assert (first["version"], first["aliases"], first["source"], first["licence"]) == ("1", [], "test", "Apache-2.0")
    with ledger.reading() as session:
        assert [(row.action, row.subject, row.actor) for row in audit.latest(session)] == [
            ("model.add", "2", "enzo"),
            ("model.add", "1", "enzo"),
        ]


def test_imports_at_the_same_moment_each_get_a_version(ledger: Ledger, blobs: LocalBlobs, tmp_path: Path) -> None:
    bundles = [tiny_bundle(tmp_path / f"b{i}", name=f"b{i}") for i in range(3)]
    with ThreadPoolExecutor(6) as pool:
        versions = list(pool.map(lambda b: add(b, ledger, blobs), bundles * 2))
    assert sorted(versions) == ["1", "1", "2", "2", "3", "3"]


def test_a_bundle_comes_back_with_every_file_and_is_read_from_the_cache_next_time(
    ledger: Ledger, blobs: LocalBlobs, bundle: Bundle, tmp_path: Path
) -> None:
    add(bundle, ledger, blobs)
    back = registry.fetch_bundle(bundle.hash, blobs, tmp_path / "cache")
    assert back.hash == bundle.hash
    assert all(back.read(name) == bundle.read(name) for name in bundle.manifest.files)
    shutil.rmtree(tmp_path / "blobs")
    assert registry.fetch_bundle(bundle.hash, blobs, tmp_path / "cache").manifest == bundle.manifest
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [bundle.hash]


def test_a_cache_that_was_changed_is_not_believed(
    ledger: Ledger, blobs: LocalBlobs, bundle: Bundle, tmp_path: Path
) -> None:
    add(bundle, ledger, blobs)
    cached = registry.fetch_bundle(bundle.hash, blobs, tmp_path / "cache").path
    (cached / "model.onnx").write_bytes(b"another model")
    assert registry.fetch_bundle(bundle.hash, blobs, tmp_path / "cache").read("model.onnx") == bundle.read("model.onnx")
    shutil.copytree(tiny_bundle(tmp_path / "evil", name="evil").path, cached, dirs_exist_ok=True)
    assert registry.fetch_bundle(bundle.hash, blobs, tmp_path / "cache").manifest.name == "tiny"


def test_what_the_store_lost_or_damaged_is_said_and_leaves_no_half_bundle(
    ledger: Ledger, blobs: LocalBlobs, bundle: Bundle, tmp_path: Path
) -> None:
    add(bundle, ledger, blobs)
    model = bundle.manifest.files["model.onnx"].sha256
    place = tmp_path / "blobs" / model[:2] / model[2:4] / model
    place.chmod(0o644)
    place.write_bytes(b"rotten")
    with pytest.raises(BlobCorrupt):
        registry.fetch_bundle(bundle.hash, blobs, tmp_path / "cache")
    blobs.delete(model)
    with pytest.raises(BlobMissing):
        registry.fetch_bundle(bundle.hash, blobs, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    add(bundle, ledger, blobs)  # importing it again mends the store
    assert registry.fetch_bundle(bundle.hash, blobs, tmp_path / "cache").hash == bundle.hash


def test_an_object_that_is_no_manifest_is_no_bundle(blobs: LocalBlobs, tmp_path: Path) -> None:
    for data in (b"a photo", b'{"files": {"../../evil": {"sha256": "0", "bytes": 1}}}'):
        with pytest.raises(BundleRejected):
            registry.fetch_bundle(blobs.put(data), blobs, tmp_path / "cache")


def test_a_model_of_other_classes_is_refused_with_both_lists() -> None:
    registry.refuse_other_classes(BANANA.class_names, BANANA)
    with pytest.raises(BundleRejected, match=r"Healthy, Stage1.*LEAFLOOP_TAXONOMY"):
        registry.refuse_other_classes(("A", "B"), BANANA)
    with pytest.raises(BundleRejected):  # the same names in another order mean other numbers
        registry.refuse_other_classes(tuple(reversed(BANANA.class_names)), taxonomy.load())
