"""Trains YOLOv9-t with LibreYOLO (MIT); the only module that imports it. `python -m leafloop.learning.training.libreyolo JOB`.

Runs in the trainer's own interpreter, which has torch and LibreYOLO but none of the service's packages, so it imports nothing of
Leafloop beyond the job's values. Offline: the weights are random or those of `start_from`, nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from leafloop.learning.training.protocol import Job, Progress, Trained

MODEL_SIZE = "t"  # 1.9 million parameters: 7.8 MB as ONNX, the size that two cores can train
LOG_EVERY = 25  # optimiser steps between two lines of progress
PACKAGES = ("libreyolo", "torch", "numpy", "opencv-python-headless", "onnx")
FIGURES = {"map50": "metrics/mAP50", "map50_95": "metrics/mAP50-95"}


def main(job_path: Path) -> None:
    """Train a job to its end, or go on with it. Progress goes to standard output, all that the libraries say to standard error."""
    job = Job.from_json(job_path.read_text("utf-8"))
    if Trained.read(job.out):
        return
    lines = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):

        def say(progress: Progress) -> None:
            print(progress.as_line(), file=lines, flush=True)

        _quiet_environment(job)
        trained = _export(job, _train(job, say), say)
        trained.write(job.out)
        say(Progress("end", job.recipe.epochs, job.recipe.epochs, figures=trained.validation))


def _quiet_environment(job: Job) -> None:
    os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS=str(job.recipe.threads))
    import torch

    from leafloop.learning.training import torchvision_shim

    torchvision_shim.install()
    torch.set_num_threads(job.recipe.threads)


def _train(job: Job, say: Any) -> float:
    """Seconds that this run took. Leaves best.pt and last.pt under `out/run/weights`."""
    from libreyolo import LibreYOLO

    began = time.monotonic()
    last = job.out / "run" / "weights" / "last.pt"
    common: dict[str, Any] = {"data": str(job.dataset / "data.yaml"), "workers": 0, "device": "cpu"}
    if not last.is_file():
        model = _fresh(job)
        _train_from_start(job, model, common, say)
    elif _epochs_done(last) < job.recipe.epochs:
        model = LibreYOLO(str(last), device="cpu")
        _prepare(model)
        _watch_steps(job, model, say)
        # The number of epochs may have been changed since: the schedule then goes on as if it had always been so.
        model.train(**common, epochs=job.recipe.epochs, resume=True, callbacks=_Callbacks(job, say))
    return time.monotonic() - began


def _fresh(job: Job) -> Any:
    """A model with random weights drawn from the seed, or with those of `start_from`."""
    import numpy as np
    import torch
    from libreyolo import LibreYOLO9

    random.seed(job.seed)
    np.random.seed(job.seed)  # the library draws from numpy's global state
    torch.manual_seed(job.seed)
    model = LibreYOLO9(None, size=MODEL_SIZE, nb_classes=len(job.classes), device="cpu")
    if job.start_from:
        from safetensors.torch import load_file

        weights = {
            name: value.float() if value.is_floating_point() else value
            for name, value in load_file(job.start_from).items()
        }
        model.model.load_state_dict(weights)
    _prepare(model)
    return model


def _prepare(model: Any) -> None:
    """Channels last: the convolutions of a training step take 0.7 of the time on a CPU, with the same result to rounding."""
    import torch

    model.model.to(memory_format=torch.channels_last)


def _train_from_start(job: Job, model: Any, common: dict[str, Any], say: Any) -> None:
    recipe = job.recipe
    _watch_steps(job, model, say)
    model.train(
        **common,
        epochs=recipe.epochs,
        batch=recipe.batch,
        imgsz=job.size,
        seed=job.seed,
        optimizer="adamw",
        lr0=recipe.learning_rate,
        scheduler="cos",
        warmup_epochs=recipe.warm_up_epochs,
        min_lr_ratio=0.01,
        aux_weight=0,  # the auxiliary branch nearly doubles the time of a step
        max_labels=job.most_boxes,  # the loss compares anchors with unused slots too: 300 slots take a third of the time
        amp=False,
        eval_interval=1,
        save_period=0,
        patience=0,
        no_aug_epochs=recipe.epochs if not recipe.mosaic else max(1, recipe.epochs // 2),
        mosaic_prob=recipe.mosaic,
        flipud=recipe.flip_vertically,
        project=str(job.out),
        name="run",
        exist_ok=True,
        callbacks=_Callbacks(job, say),
    )


def _watch_steps(job: Job, model: Any, say: Any) -> None:
    """A line every few steps, so that a person sees within a minute whether it learns."""
    count = 0

    def hook(module: Any, _: Any, outputs: Any) -> None:
        nonlocal count
        if not (module.training and isinstance(outputs, dict) and "total_loss" in outputs):
            return
        count += 1
        if count % LOG_EVERY == 0:
            say(
                Progress(
                    "step", step=count, epochs=job.recipe.epochs, loss=round(float(outputs["total_loss"].detach()), 4)
                )
            )

    model.model.register_forward_hook(hook)


class _Callbacks:
    """What LibreYOLO calls; each becomes a line of progress."""

    def __init__(self, job: Job, say: Any) -> None:
        self.job, self.say = job, say

    def on_train_start(self, event: Any) -> None:
        self.say(Progress("start", event.start_epoch, event.total_epochs))

    def on_train_epoch_end(self, event: Any) -> None:
        figures = {
            ours: float(event.val_metrics[theirs]) for ours, theirs in FIGURES.items() if theirs in event.val_metrics
        }
        figures["seconds"] = round(event.epoch_seconds, 1)
        self.say(Progress("epoch", event.epoch, event.total_epochs, loss=round(event.train_loss, 4), figures=figures))

    def on_train_end(self, event: Any) -> None: ...

    def on_train_exception(self, event: Any) -> None:
        print(event.exception_message, file=sys.stderr)


def _checkpoint(path: Path) -> dict[str, Any]:
    """Our own checkpoint, read without running anything that a pickle could hold."""
    import torch

    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


def _epochs_done(path: Path) -> int:
    return int(_checkpoint(path)["epoch"]) + 1


def _export(job: Job, seconds: float, say: Any) -> Trained:
    """ONNX and safetensors of the best epoch."""
    from libreyolo import LibreYOLO
    from safetensors.torch import save_file

    say(Progress("export"))
    best = job.out / "run" / "weights" / "best.pt"
    if not best.is_file():  # no epoch found a single lesion: the last one is as good as any
        shutil.copyfile(best.with_name("last.pt"), best)
    checkpoint = _checkpoint(best)
    onnx, weights = job.out / "model.onnx", job.out / "weights.safetensors"
    model = LibreYOLO(str(best), device="cpu")
    model.export(format="onnx", imgsz=job.size, dynamic=True, simplify=False, device="cpu", output_path=str(onnx))
    _cut_to_input(onnx, job.size)
    save_file(
        {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in checkpoint["model"].items()}, weights
    )
    return Trained(
        onnx=onnx,
        weights=weights,
        classes=job.classes,
        size=job.size,
        layout="xyxy",
        orientation="channels_first",
        objectness=False,
        colour_order="rgb",
        divide_by=255.0,
        trainer="libreyolo9-" + MODEL_SIZE,
        packages={name: importlib.metadata.version(name) for name in PACKAGES if _installed(name)},
        epochs=_epochs_done(best.with_name("last.pt")),
        best_epoch=int(checkpoint["epoch"]) + 1,
        seconds=round(seconds, 1),
        validation={"map50": float(checkpoint["best_mAP50"]), "map50_95": float(checkpoint["best_mAP50_95"])},
    )


def _cut_to_input(path: Path, size: int) -> None:
    """Cut boxes to the input, in the graph: on noise a distance runs to 480 pixels, which a check takes for a wrong layout.

    One Clip over the whole output does: scores lie in 0-1 and are not touched by it.
    """
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    output = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["uncut" if name == output else name for name in node.output]
    for name, value in (("input_low", 0), ("input_high", size)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    model.graph.node.append(
        helper.make_node("Clip", ["uncut", "input_low", "input_high"], [output], name="cut_to_input")
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
