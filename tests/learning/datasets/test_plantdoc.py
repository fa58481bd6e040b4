"""Real data in and out: PlantDoc (Singh et al. 2020) under a taxonomy of its own, which is made from its data.yaml."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml
from tests.learning.dataset_files import bring, labels_of

from leafloop import taxonomy
from leafloop.learning.datasets import exporting, formats
from leafloop.learning.datasets.exporting import Wish
from leafloop.learning.datasets.formats.dataset import Dataset
from leafloop.learning.datasets.intake import Place
from leafloop.learning.snapshots import building, manifest
from leafloop.learning.snapshots.building import Options
from leafloop.taxonomy import Taxonomy
from leafloop.vision.photo import read_kept

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def plantdoc(shared: Path) -> Path:
    folder = shared / "data/plantdoc"
    if not folder.is_dir():
        pytest.skip("needs PlantDoc in ../shared/data/plantdoc, which is not part of the repository")
    return folder


def classes_of(folder: Path, target: Path) -> Taxonomy:
    """A taxonomy file out of the dataset's own names; its ids are theirs."""
    names = yaml.safe_load((folder / "data.yaml").read_text())["names"]
    told = {
        "name": "plantdoc", "version": "1", "crop": "several", "disease": "several",
        "classes": [{"name": names[i], "colour": f"#{i * 4000:06x}", "severity": i} for i in range(len(names))],
        "advice": {"author": "nobody", "version": "1"},
    }  # fmt: skip
    target.write_text(yaml.safe_dump(told, sort_keys=False))
    return taxonomy.load(target)


def a_few(folder: Path, target: Path, each: int) -> Path:
    """The first photos of every side."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("images", "labels"))
    for side in ("train", "valid", "test"):
        for photo in sorted((folder / side / "images").iterdir())[:each]:
            for kind, name in (("images", photo.name), ("labels", photo.stem + ".txt")):
                (target / side / kind).mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / side / kind / name, target / side / kind / name)
    return target


def said(dataset: Dataset, photos: dict[str, str]) -> dict[str, list[tuple[str, ...]]]:
    """Photo's hash -> its boxes, to a tenth of a pixel of 800."""
    return {
        photos[photo.path.name]: sorted(
            (box.class_name, *(f"{800 * edge:.0f}" for edge in (box.x1, box.y1, box.x2, box.y2)))
            for box in photo.boxes or ()
        )
        for photo in dataset.photos
    }


def in_and_out(folder: Path, place: Place, tmp_path: Path) -> int:
    """Import, snapshot, export as YOLO, compare photo by photo; the number of photos."""
    classes = classes_of(folder, tmp_path / "taxonomy.yaml")
    report = bring(place, folder, classes=classes, keep_splits=True)
    assert [problem for problem in report.problems if problem.stops] == []
    options = Options(allow_small=True, gate=None)  # every photo, blurred ones too
    made = building.make(place.ledger, place.blobs, classes, options, actor="test")
    assert (made.photos, made.left_out) == (report.photos, {})
    done = exporting.write_out(place.ledger, place.blobs, classes, tmp_path / "out", Wish("yolo", made.hash))
    assert (done.photos, done.boxes, done.sides) == (report.photos, report.labels, made.splits)

    before, after = (formats.read(formats.opened(each, each)) for each in (folder, tmp_path / "out"))
    sides = {photo.path.name: photo.side for photo in before.photos}
    labels = labels_of(place.ledger)
    hash_of = {Path(name).name: label.image_hash for name, label in labels.items()}
    frozen = {line["sha256"]: line for line in manifest.read_photos(place.blobs, made.hash)}
    assert {sha256[:16]: line["split"] for sha256, line in frozen.items()} == {
        p.path.stem: p.side for p in after.photos
    }
    together = Counter(line["group"] for line in frozen.values())
    alone = {name for name in sides if together[frozen[hash_of[name]]["group"]] == 1}
    assert {name: frozen[hash_of[name]]["split"] for name in alone} == {name: sides[name] for name in alone}
    assert len(alone) > 0.8 * len(sides) == 0.8 * len(after.photos)  # the others have a near copy: theirs is one side
    theirs = {name: image_hash[:16] for name, image_hash in hash_of.items()}
    ours = {photo.path.name: photo.path.stem for photo in after.photos}
    one, other = said(before, theirs), said(after, ours)
    assert one.keys() == other.keys()
    for key, boxes in one.items():
        for box, twin in zip(boxes, other[key], strict=True):
            assert box[0] == twin[0]
            assert all(abs(int(a) - int(b)) <= 1 for a, b in zip(box[1:], twin[1:], strict=True))
    first = before.photos[0]
    written = next((tmp_path / "out").rglob(f"{hash_of[first.path.name][:16]}.jpg"))
    assert (read_kept(written.read_bytes()) == read_kept(first.path.read_bytes())).all()

    assert bring(place, folder, classes=classes).photos == 0
    return report.photos


def test_a_few_real_photos_go_in_and_out_as_they_were(plantdoc: Path, place: Place, tmp_path: Path):
    assert in_and_out(a_few(plantdoc, tmp_path / "set", 4), place, tmp_path) == 12


@pytest.mark.slow
def test_all_of_plantdoc_goes_in_and_out_as_it_was(plantdoc: Path, place: Place, tmp_path: Path):
    assert in_and_out(plantdoc, place, tmp_path) == 220


TRAIN = """
import sys
from leafloop.learning.training import torchvision_shim
torchvision_shim.install()
import torch
torch.set_num_threads(2)
from libreyolo import LibreYOLO9
model = LibreYOLO9(None, size="t", nb_classes=int(sys.argv[2]), device="cpu")
model.train(data=sys.argv[1], epochs=1, batch=2, imgsz=128, workers=0, device="cpu", amp=False, aux_weight=0,
            project=sys.argv[3], name="run", exist_ok=True)
print("TRAINED")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_real_trainer_opens_our_export_and_trains_an_epoch(plantdoc: Path, place: Place, tmp_path: Path):
    """LibreYOLO on the exported folder as it lies there, in the trainer's own interpreter."""
    import os

    python = Path(os.environ.get("LEAFLOOP_TRAINER_PYTHON", ROOT / ".venv-train/bin/python"))
    if (
        not python.exists()
        or subprocess.run([python, "-c", "import libreyolo, torch"], timeout=120, check=False).returncode
    ):
        pytest.skip(f"no trainer at {python}: run 'make train-env', or set LEAFLOOP_TRAINER_PYTHON")
    folder = a_few(plantdoc, tmp_path / "set", 4)
    (folder / "train/labels" / (sorted((folder / "train/images").iterdir())[0].stem + ".txt")).write_text(
        ""
    )  # a confirmed negative
    in_and_out(folder, place, tmp_path)
    (tmp_path / "path").mkdir()
    (tmp_path / "path/leafloop").symlink_to(ROOT / "src/leafloop")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "path"), "OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-c", TRAIN, str(tmp_path / "out/data.yaml"), "8", str(tmp_path / "runs")],
        capture_output=True, text=True, timeout=800, env=environ, cwd=tmp_path,
    )  # fmt: skip
    assert "TRAINED" in done.stdout, (done.stdout + done.stderr)[-3000:]
    assert list((tmp_path / "runs").rglob("last.pt"))
