"""The recipe that makes the bundled model: render, cut, train, export, choose thresholds, judge, seal. Anyone can run it again.

Drawings alone teach it; real photos never do. Every step leaves its result in the work folder, so a killed run goes on.
"""

from __future__ import annotations

import datetime
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import leafloop
from leafloop import taxonomy as taxonomies
from leafloop.errors import TrainingFailed
from leafloop.learning.bundled import rendered, thresholds, trial
from leafloop.learning.training.protocol import Job, Progress, Recipe, Trained, Trainer
from leafloop.simulation import leaves
from leafloop.taxonomy import Taxonomy
from leafloop.vision.bundle import MANIFEST, Bundle, write_bundle
from leafloop.vision.reader import Reader

NAME = "leafloop-banana-rendered"
LICENCE = "Apache-2.0"
TILE, OVERLAP, IOU = 256, 32, 0.5  # see docs/MODEL_SPEC.md
DRAFT = trial.Chosen(
    detect=0.25, iou=IOU, reliable=0.5, vouch_healthy_below=0.1
)  # until the validation photos have spoken
SELFTEST_SIZE = (640, 480)  # 6 tiles: enough to go wrong, small enough for a bundle
SELFTEST_SEEDS = range(3_000_000, 3_000_020)
PRECISION = "f32"  # thresholds and figures must not depend on whether this machine's processor has bf16


@dataclass(frozen=True)
class Making:
    """What is made, and how."""

    work: Path
    plan: rendered.Plan = field(default_factory=rendered.Plan)
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0
    git_commit: str | None = None  # of the code that trained, when that was not this one


Say = Callable[[str, int, int], None]  # what is going on, how far, of how many


def make(
    making: Making,
    destination: Path,
    trainer: Trainer,
    *,
    say: Say,
    on_progress: Callable[[Progress], None] | None = None,
) -> Bundle:
    """Make the bundle, or go on making it. Raises `TrainingFailed`, and `BundleRejected` when what came out cannot be served."""
    classes = taxonomies.load()
    tiles = making.work / "tiles"
    most = rendered.write_dataset(tiles, classes.class_names, making.plan, on_photo=lambda n, of: say("render", n, of))
    job = Job(tiles, making.work / "train", classes.class_names, TILE, most, making.seed, recipe=making.recipe)
    trained = trainer.train(job, on_progress)
    return seal(making, trained, destination, say=say)


def seal(making: Making, trained: Trained, destination: Path, *, say: Say) -> Bundle:
    """Thresholds, judgement and bundle of a model that is trained. The test photos choose nothing."""
    classes = taxonomies.load()
    facts = _facts(classes, trained, _lineage(making, trained))
    reader = Reader(
        _write(making.work / "draft", {**facts, "thresholds": asdict(DRAFT)}, {"model.onnx": trained.onnx}),
        precision=PRECISION,
    )
    chosen = trial.choose(_answers(making, reader, "val", range(making.plan.judge_on), say), classes, iou=IOU)
    after = making.plan.test_after
    answers = _answers(making, reader, "test", range(after, after + making.plan.test), say)
    facts["metrics"] = {
        "rendered_test": trial.figures(answers, classes, chosen),
        "trainer_validation": trained.validation,
    }
    facts["thresholds"] = asdict(chosen)
    jpeg, facts["selftest"] = _selftest(reader, classes, chosen)
    files: dict[str, bytes | Path] = {
        "model.onnx": trained.onnx,
        "weights.safetensors": trained.weights,
        "selftest.jpg": jpeg,
        "MODEL_CARD.md": card(facts).encode(),
    }
    bundle = _write(destination, facts, files)
    Reader(bundle)  # as the service loads it: the self-test must pass at this machine's precision too
    return bundle


def _answers(making: Making, reader: Reader, which: rendered.PhotoSet, numbers: range, say: Say) -> list[trial.Answer]:
    def shots() -> Iterator[rendered.Shot]:
        for number in numbers:
            yield rendered.shot(which, number, len(reader.bundle.taxonomy.classes) - 1, making.work / "photos")
            say("read " + which, number + 1 - numbers.start, len(numbers))

    return trial.ask(reader, shots())


def _facts(classes: Taxonomy, trained: Trained, lineage: dict[str, Any]) -> dict[str, Any]:
    """The manifest before the model was judged."""
    return {
        "name": NAME,
        "created_at": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "licence": LICENCE,
        "taxonomy": classes.as_dict(),
        "input": {"size": trained.size, "colour_order": trained.colour_order, "divide_by": trained.divide_by},
        "output": {"layout": trained.layout, "objectness": trained.objectness, "orientation": trained.orientation},
        "tiling": {"mode": "tiles", "overlap": OVERLAP},
        "metrics": {},
        "lineage": lineage,
        "selftest": None,
    }


def _write(folder: Path, facts: dict[str, Any], files: dict[str, bytes | Path]) -> Bundle:
    """Write a bundle, in the place of an older one if there is one (a folder with a manifest, and no other)."""
    if (folder / MANIFEST).is_file():
        shutil.rmtree(folder)
    return write_bundle(folder, facts, files)


def _lineage(making: Making, trained: Trained) -> dict[str, Any]:
    return {
        "recipe": "leafloop demo train-bundled",
        "data": "rendered photos alone (leafloop.simulation)",
        "plan": asdict(making.plan),
        "training": asdict(making.recipe),
        "seed": making.seed,
        "trainer": trained.trainer,
        "packages": trained.packages,
        "epochs": trained.epochs,
        "best_epoch": trained.best_epoch,
        "git_commit": making.git_commit or _git_commit(),
        "threshold_rules": thresholds.RULES,
    }


def _git_commit() -> str | None:
    """Of the code that runs, when it runs from a checkout."""
    command = ["git", "-C", str(Path(leafloop.__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(  # noqa: S603 (a fixed command)
            command, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _selftest(reader: Reader, classes: Taxonomy, chosen: trial.Chosen) -> tuple[bytes, dict[str, Any]]:
    """A small photo that the model answers rightly and surely, so that only a broken file or runtime answers it otherwise."""
    for seed in SELFTEST_SEEDS:
        width, height = SELFTEST_SIZE
        drawn = leaves.render(seed, width=width, height=height, stages=len(classes.classes) - 1, clean=0, leafless=0)
        shot = rendered.take(drawn, seed, quality=(80, 80))
        (answer,) = trial.ask(reader, [shot])
        verdict = trial.judged(answer, classes, chosen)
        if verdict.class_id == drawn.stage and verdict.confidence >= min(0.9, chosen.reliable + 0.1):
            return shot.jpeg, {"photo": "selftest.jpg", "class_name": verdict.class_name, "outcome": verdict.outcome}
    raise TrainingFailed("The model answers none of the self-test photos rightly and surely: it has not learnt enough.")


def card(facts: dict[str, Any]) -> str:
    """The bundle's own page for people; docs/MODEL_CARD.md says more, and what real photos said."""
    figures, chosen, lineage = facts["metrics"]["rendered_test"], facts["thresholds"], facts["lineage"]
    low, high = figures["photo_accuracy_interval"]
    return f"""# {facts["name"]}

Finds lesions of {facts["taxonomy"]["disease"]} on {facts["taxonomy"]["crop"]} leaves in photos and names their stage.

**What it is.** A small detector ({lineage["trainer"]}, {TILE}-pixel tiles) trained on drawings of leaves alone, so that a fresh
install has something that answers. **What it is not.** It is no basis for decisions about plants: it never saw a real leaf,
its stages are unproven on real photos, and it may well call a diseased real leaf healthy (docs/MODEL_CARD.md has figures).
Retrain it on photos that people have labelled.

On {figures["photos"]} rendered photos that it never saw ({figures["boxes"]} lesions), through the serving path:
mAP50 {figures["map50"]:.3f}, mAP50-95 {figures["map50_95"]:.3f}; the exact answer for {figures["photo_accuracy"]:.3f}
of the photos [{low:.3f}, {high:.3f}].

Thresholds, chosen on other rendered photos: detect {chosen["detect"]}, reliable {chosen["reliable"]},
healthy below {chosen["vouch_healthy_below"]}.
{lineage["threshold_rules"]}

Made by `{lineage["recipe"]}` (seed {lineage["seed"]}, {lineage["epochs"]} epochs, commit {lineage["git_commit"]}).
Licence: {facts["licence"]}.
"""
