"""`leafloop demo`: make the bundled model again, hold it against real photos, render photos to play with."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leafloop.cli import output
from leafloop.errors import NotFound

app = typer.Typer(no_args_is_help=True, help="Rendered leaves, and the model that is trained on them.")

BUNDLED = Path(__file__).parents[1] / "bundled"
TRAINER = Path(".venv-train/bin/python")  # where `make train-env` puts it


@app.command("train-bundled")
@output.says_errors
def train_bundled(
    work: Annotated[Path, typer.Option(help="Everything on the way; the same folder again goes on.")] = Path(
        "runs/bundled"
    ),
    out: Annotated[Path, typer.Option(help="Where the bundle goes; an older bundle there is replaced.")] = BUNDLED,
    python: Annotated[
        Path,
        typer.Option(envvar="LEAFLOOP_TRAINER_PYTHON", help="The interpreter that has the trainer (make train-env)."),
    ] = TRAINER,
    photos: Annotated[int, typer.Option(help="Rendered photos to train on.")] = 900,
    epochs: Annotated[int, typer.Option(help="Passes over their tiles.")] = 3,
    seed: Annotated[int, typer.Option(help="Of weights and order; the photos have seeds of their own.")] = 0,
    as_json: output.Json = False,
) -> None:
    """Render leaves, train on them, choose thresholds, judge on photos not seen, and seal the bundle.

    About an hour and a half on 2 cores with the defaults. Killed and started again it goes on from the last whole epoch.
    """
    from leafloop.learning.bundled import recipe, rendered
    from leafloop.learning.training.process import ProcessTrainer
    from leafloop.learning.training.protocol import Recipe

    if not python.exists():
        raise NotFound(f"There is no trainer at {python}. Run 'make train-env', or name its interpreter with --python.")
    if importlib.util.find_spec("faster_coco_eval") is None:  # better now than after two hours
        raise NotFound(
            "Judging the model needs the package faster-coco-eval: 'pip install faster-coco-eval', then again."
        )
    making = recipe.Making(work, rendered.Plan(train=photos), Recipe(epochs=epochs), seed)
    with _bars() as bars:
        bundle = recipe.make(making, out, ProcessTrainer(python.absolute()), say=bars.say, on_progress=bars.trained)
    figures = bundle.manifest.metrics["rendered_test"]
    if as_json:
        output.print_json({"bundle": bundle.hash, "path": bundle.path, **figures})
    else:
        typer.echo(f"{bundle.hash}  {bundle.path}")
        typer.echo(f"mAP50 {figures['map50']}, exact answer {figures['photo_accuracy']} of {figures['photos']} photos")


@app.command("judge-bundled")
@output.says_errors
def judge_bundled(
    photos: Annotated[Path, typer.Option(help="A folder with one folder of photos a group.")],
    ill: Annotated[str, typer.Option(help="The folder of photos with the disease.")],
    healthy: Annotated[str, typer.Option(help="The folder of photos without it, from the same source.")],
    bundle: Annotated[Path, typer.Option(help="The bundle to judge.")] = BUNDLED,
    as_json: output.Json = False,
) -> None:
    """How well the model tells two folders of real photos apart, beside counting brown pixels.

    A photo's score is its largest lesion confidence: fixed on rendered photos before any real one was looked at.
    """
    from leafloop.learning.bundled import real_photos
    from leafloop.vision.bundle import open_bundle
    from leafloop.vision.reader import Reader

    reader = Reader(open_bundle(bundle), precision="f32")
    with _bars() as bars:
        result = real_photos.judge(reader, photos / ill, photos / healthy, say=bars.say)
    if as_json:
        output.print_json(result)
    else:
        typer.echo(json.dumps(result, indent=1))


@app.command("photos")
@output.says_errors
def photos(
    out: Annotated[Path, typer.Argument(help="A folder; photos and one truth.json are written into it.")],
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 6,
    width: Annotated[int, typer.Option(min=64, max=8000, help="Of each photo, in pixels.")] = 1600,
    height: Annotated[int, typer.Option(min=64, max=8000, help="Of each photo, in pixels.")] = 1200,
    seed: Annotated[int, typer.Option(help="The first; the others follow.")] = 0,
) -> None:
    """Render photos of leaves with known lesions, to try things on."""
    from leafloop import taxonomy
    from leafloop.simulation import leaves

    classes = taxonomy.load()
    out.mkdir(parents=True, exist_ok=True)
    truth = {}
    for number in range(seed, seed + count):
        drawn = leaves.render(number, width=width, height=height, stages=len(classes.classes) - 1)
        (out / f"leaf-{number}.jpg").write_bytes(leaves.encode(drawn, number))
        boxes = zip(drawn.class_id.tolist(), drawn.xyxy_px.tolist(), strict=True)
        truth[f"leaf-{number}.jpg"] = {
            "class_name": classes.class_names[drawn.stage],
            "boxes": [{"class_name": classes.class_names[c], "xyxy_px": box} for c, box in boxes],
        }
    (out / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", "utf-8")
    typer.echo(f"{count} photos and truth.json in {out}")


class _Bars:
    """Progress on stderr, one bar a kind of work."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, int] = {}

    def say(self, what: str, done: int, of: int) -> None:
        task = self._tasks.setdefault(what, -1)
        if task < 0:
            task = self._tasks[what] = self._progress.add_task(what, total=of)
        self._progress.update(task, completed=done)  # type: ignore[arg-type]

    def trained(self, told: object) -> None:
        from leafloop.learning.training.protocol import Progress as Told

        assert isinstance(told, Told)
        if told.event == "epoch":
            self.say("train, epochs", told.epoch, told.epochs)
        words = " ".join(f"{name} {value:.3f}" for name, value in told.figures.items())
        loss = "" if told.loss is None else f"loss {told.loss:.2f}"
        self._progress.console.print(f"{told.event} {told.epoch or told.step or ''} {loss} {words}", highlight=False)


@contextmanager
def _bars() -> Iterator[_Bars]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=output.people) as progress:
        yield _Bars(progress)
