"""The model that comes with the package: whole, small enough, honest about itself, and right about the photos of the tour."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import leafloop
from leafloop import taxonomy as taxonomies
from leafloop.learning.bundled import real_photos, recipe
from leafloop.simulation import leaves
from leafloop.vision.bundle import Bundle, open_bundle
from leafloop.vision.photo import read_upload
from leafloop.vision.reader import Reader

FOLDER = Path(leafloop.__file__).parent / "bundled"
EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle(FOLDER)


@pytest.fixture(scope="module")
def reader(bundle: Bundle) -> Reader:
    return Reader(bundle)  # probes the model and passes its self-test, or raises


def test_it_is_small_enough_to_come_with_the_package(bundle: Bundle):
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 12_000_000
    assert set(bundle.manifest.files) == {"model.onnx", "weights.safetensors", "selftest.jpg", "MODEL_CARD.md"}


def test_it_speaks_of_the_classes_that_the_service_speaks_of(bundle: Bundle):
    """Names, colours and severities. Words in more languages may have come to the service since."""
    own, ours = bundle.taxonomy, taxonomies.load()
    assert (own.name, own.class_names, own.healthy_ids) == (ours.name, ours.class_names, ours.healthy_ids)
    assert [(c.colour, c.severity) for c in own.classes] == [(c.colour, c.severity) for c in ours.classes]
    assert all(
        own.title(n) == ours.title(n) and own.advice_for(n) == ours.advice_for(n) for n in range(len(ours.classes))
    )


def test_it_says_where_it_comes_from(bundle: Bundle):
    lineage = bundle.manifest.lineage
    for key in ("recipe", "data", "seed", "trainer", "packages", "git_commit", "threshold_rules"):
        assert lineage[key] or lineage[key] == 0, key


def test_its_card_says_what_it_is_not(bundle: Bundle):
    card = bundle.read("MODEL_CARD.md").decode()
    assert "drawings" in card
    assert "no basis for decisions" in card
    assert f"{bundle.manifest.metrics['rendered_test']['map50']:.3f}" in card


def test_it_passes_its_own_self_test(reader: Reader):
    assert reader.bundle.manifest.selftest is not None


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.jpg")))
def test_it_answers_the_photos_of_the_tour_rightly(reader: Reader, name: str):
    truth = json.loads((EXAMPLES / "truth.json").read_text("utf-8"))[name]
    data = (EXAMPLES / name).read_bytes()
    assert len(data) < 400_000
    assert reader.read(read_upload(data).pixels).verdict.class_name == truth["class_name"]


def test_there_is_one_photo_of_a_healthy_leaf_and_one_of_an_ill_one():
    truth = json.loads((EXAMPLES / "truth.json").read_text("utf-8"))
    classes = taxonomies.load()
    healthy = {classes.id_of(photo["class_name"]) in classes.healthy_ids for photo in truth.values()}
    assert healthy == {True, False}


def test_folders_of_photos_are_told_apart_and_counted(reader: Reader, tmp_path: Path):
    stages = len(reader.bundle.taxonomy.classes) - 1
    for group, clean in (("ill", 0.0), ("well", 1.0)):
        (tmp_path / group).mkdir()
        for seed in range(3):
            drawn = leaves.render(seed, width=384, height=384, stages=stages, view="part", clean=clean, leafless=0)
            (tmp_path / group / f"{seed}.jpg").write_bytes(leaves.encode(drawn, seed))
    heard: list[str] = []
    result = real_photos.judge(reader, tmp_path / "ill", tmp_path / "well", say=lambda what, *_: heard.append(what))
    assert result["photos"] == {"ill": 3, "well": 3}
    assert result["bundle"] == reader.bundle.hash
    assert sum(result["verdicts"]["ill"].values()) == 3
    assert heard == ["read ill"] * 3 + ["read well"] * 3


@pytest.mark.slow
def test_how_it_tells_real_leaves_apart_is_measured(reader: Reader, shared: Path):
    """No bar: real photos only judge. Held is that the model card quotes what is measured."""
    folder = shared / "data" / "banana"
    result = real_photos.judge(reader, folder / "sigatoka", folder / "healthy", say=lambda *_: None)
    card = (Path(__file__).parents[3] / "docs" / "MODEL_CARD.md").read_text("utf-8")
    assert result["auroc_brown_pixels"] in card
    quoted = re.search(r"largest lesion confidence \| \*\*(\d\.\d+)", card)
    assert quoted
    assert float(result["auroc_model"].split()[0]) == pytest.approx(float(quoted[1]), abs=0.02)  # bf16 or f32


def test_an_older_bundle_is_replaced_but_no_other_folder(bundle: Bundle, tmp_path: Path):
    facts = bundle.manifest.model_dump(exclude={"format", "files"}) | {"selftest": None}
    onnx: dict[str, bytes | Path] = {"model.onnx": FOLDER / "model.onnx"}
    recipe._write(tmp_path / "made", {**facts, "name": "older"}, onnx)
    assert recipe._write(tmp_path / "made", {**facts, "name": "newer"}, onnx).manifest.name == "newer"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("not a bundle")
    with pytest.raises(OSError, match="not empty"):
        recipe._write(tmp_path / "mine", facts, onnx)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "not a bundle"
