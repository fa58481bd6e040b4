"""One throw-away yolo11n for both sides, trained for minutes on rendered tiles: real boxes, and no claim to be any good.

Ultralytics trains it, in a process of its own (`python -m benchmarks.weights FOLDER`), because only then are the weights on both
sides the same: `best.pt` for Ultralytics, SAHI and supervision, its ONNX in a bundle for Leafloop. It stays in the work folder
and goes nowhere else: Ultralytics is AGPL-3.0, and its makers hold that weights trained with it are too.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import usual
from benchmarks.photos import OVERLAP, TILE
from leafloop import taxonomy
from leafloop.learning.bundled import rendered
from leafloop.vision import onnx_import
from leafloop.vision.bundle import Bundle, write_bundle

PLAN = rendered.Plan(train=14, val=2)  # 127 tiles
# With these a photo of 12 megapixels has some hundred boxes. After much less it has none, and what boxes cost would not be counted.
EPOCHS, BATCH, RATE, SEED = 14, 8, 0.002, 0
PATIENCE_S = 1800  # on a slow machine; 70 s on two good cores


@dataclass(frozen=True)
class Weights:
    """The same weights twice."""

    pt: Path
    bundle: Bundle


def ready(work: Path) -> Weights:
    """The weights, made now unless the work folder has them. Raises `CalledProcessError` when the training fails."""
    pt = work / "yolo11n" / "weights" / "best.pt"
    if not pt.with_suffix(".onnx").is_file():
        command = [sys.executable, "-m", "benchmarks.weights", str(work)]
        subprocess.run(command, check=True, timeout=PATIENCE_S, stdout=sys.stderr)
    shutil.rmtree(work / "bundle", ignore_errors=True)
    shutil.rmtree(work / "imported", ignore_errors=True)
    imported = onnx_import.from_onnx(
        pt.with_suffix(".onnx"), taxonomy.load(), work / "imported", overlap=OVERLAP, licence="AGPL-3.0"
    )
    facts = imported.manifest.model_dump(exclude={"format", "files"})
    facts["thresholds"] |= {"detect": usual.CONFIDENCE, "iou": usual.IOU}
    return Weights(pt, write_bundle(work / "bundle", facts, {"model.onnx": imported.read("model.onnx")}))


def _train(work: Path) -> None:
    tiles = work / "tiles"
    rendered.write_dataset(tiles, taxonomy.load().class_names, PLAN)
    model = usual.yolo("yolo11n.yaml")
    model.train(
        data=str(tiles / "data.yaml"),
        imgsz=TILE,
        batch=BATCH,
        nbs=BATCH,  # a step a batch; the default gathers 64 tiles for one
        epochs=EPOCHS,
        optimizer="AdamW",
        lr0=RATE,
        warmup_epochs=1,
        close_mosaic=EPOCHS,  # tiles are dense already
        workers=0,
        amp=False,
        seed=SEED,
        device="cpu",
        val=False,
        plots=False,
        project=str(work.resolve()),
        name="yolo11n",
        exist_ok=True,
        verbose=False,
    )
    model.export(format="onnx", imgsz=TILE, dynamic=True, simplify=False)


if __name__ == "__main__":
    _train(Path(sys.argv[1]))
