"""What every trainer is asked for and what it gives back: plain values that fit in a JSON file; knows no library that trains.

A trainer runs in a process of its own, started with a job file. It says how far it is in JSON lines on its standard output
and writes `model.onnx`, `weights.safetensors` and, last of all, `trained.json` into the job's folder `out`. Killed and started
again with the same job it goes on from the last whole epoch; started again after its end it answers at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

RESULT_NAME = "trained.json"


@dataclass(frozen=True)
class Recipe:
    """How to train: the numbers that a person may want to change. The defaults suit 10,000 tiles on 2 cores."""

    epochs: int = 3
    batch: int = 8  # many optimiser steps matter more than smooth ones when there are few passes
    learning_rate: float = 0.001
    warm_up_epochs: float = 0.3
    threads: int = 2
    flip_vertically: float = 0.5  # a leaf has no upright side
    mosaic: float = 0.0  # tiles are already dense, and serving never sees four tiles in one


@dataclass(frozen=True)
class Job:
    """One training. `dataset` is a folder that `dataset.py` wrote; `out` receives everything; `start_from` is safetensors."""

    dataset: Path
    out: Path
    classes: tuple[str, ...]
    size: int = 256
    most_boxes: int = 100
    seed: int = 0
    start_from: Path | None = None
    recipe: Recipe = field(default_factory=Recipe)

    def as_json(self) -> str:
        return json.dumps(asdict(self), default=str, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read what `as_json` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        data: dict[str, Any] = json.loads(text)
        start_from = data.pop("start_from")
        return cls(
            dataset=Path(data.pop("dataset")),
            out=Path(data.pop("out")),
            classes=tuple(data.pop("classes")),
            start_from=Path(start_from) if start_from else None,
            recipe=Recipe(**data.pop("recipe")),
            **data,
        )


@dataclass(frozen=True)
class Trained:
    """What came out, and the facts that a bundle's manifest must state because they cannot be guessed from the file.

    Paths are in the job's `out`. `validation` holds the trainer's own figures of the chosen epoch, by name.
    """

    onnx: Path
    weights: Path
    classes: tuple[str, ...]
    size: int
    layout: Literal["xyxy", "cxcywh"]
    orientation: Literal["channels_first", "anchors_first"]
    objectness: bool
    colour_order: Literal["rgb", "bgr"]
    divide_by: float
    trainer: str
    packages: dict[str, str]
    epochs: int
    best_epoch: int
    seconds: float
    validation: dict[str, float]

    def write(self, out: Path) -> None:
        """The last file of a training: its being there means that the others are whole."""
        data = {**asdict(self), "onnx": self.onnx.name, "weights": self.weights.name}
        part = out / (RESULT_NAME + ".part")
        part.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
        part.replace(out / RESULT_NAME)

    @classmethod
    def read(cls, out: Path) -> Trained | None:
        """What an earlier run with this `out` gave, or None when it did not come to its end."""
        try:
            data: dict[str, Any] = json.loads((out / RESULT_NAME).read_text("utf-8"))
        except FileNotFoundError:
            return None
        onnx, weights = out / data.pop("onnx"), out / data.pop("weights")
        return cls(onnx=onnx, weights=weights, classes=tuple(data.pop("classes")), **data)


@dataclass(frozen=True)
class Progress:
    """One line of a running trainer. `step` and `steps` count optimiser steps of the whole run; figures are those known so far."""

    event: Literal["start", "step", "epoch", "export", "end"]
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    figures: dict[str, float] = field(default_factory=dict)

    def as_line(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> Progress | None:
        """None for a line that is not one of ours: libraries print what they like."""
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):
            return None


class Trainer(Protocol):
    """Anything that turns a dataset of tiles into a model that the service can load."""

    def train(self, job: Job, on_progress: Callable[[Progress], None] | None = None) -> Trained:
        """Train, or go on. Raises `errors.TrainingFailed`, with the trainer's last words, when it comes to no end."""
        ...
