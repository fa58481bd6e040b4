"""`leafloop data`: datasets in and out; snapshots, keeping and erasing are in modules of their own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leafloop import settings, taxonomy
from leafloop.cli import keeping, snapshots
from leafloop.cli.output import FAILED, Json, people, print_json, print_table, says_errors
from leafloop.errors import DatasetRejected, RequestInvalid
from leafloop.learning.datasets import exporting, formats, importing
from leafloop.learning.datasets.formats.notes import Repairs
from leafloop.learning.datasets.intake import Place
from leafloop.learning.datasets.looking import Say
from leafloop.live.parts import cache_of, open_store
from leafloop.storage.durable import make_folder
from leafloop.vision.decoders import Decoders
from leafloop.vision.photo import PhotoLimits

app = typer.Typer(
    no_args_is_help=True,
    help="Datasets in and out (docs/DATASETS.md), snapshots (docs/SNAPSHOTS.md), keeping and erasing (docs/RETENTION.md).",
)
SHOWN = 40  # problems on a person's screen; --json has them all


Source = Annotated[
    Path, typer.Argument(exists=True, help="A folder, a zip archive, or the file that describes a dataset.")
]
Maps = Annotated[
    list[str] | None,
    typer.Option("--map", help="NAME=CLASS: a class of the dataset is this one of ours. NAME= leaves its boxes out."),
]
GroupRegex = Annotated[
    str | None,
    typer.Option(help="Finds a tile's parent photo in its name: '(.+)_\\d+_\\d+'. What it does not match never tests."),
]
Form = Annotated[
    str | None, typer.Option("--format", help="yolo, coco or labelstudio; default: what the files speak of.")
]
Name = Annotated[str | None, typer.Option(help="What the dataset is called here; default its folder's name.")]
Clip = Annotated[bool, typer.Option("--clip", help="Cut boxes that reach over the photo's edge.")]
DropBadBoxes = Annotated[
    bool, typer.Option("--drop-bad-boxes", help="Leave out boxes that cannot be read, are empty or of no class.")
]
DropBadPhotos = Annotated[
    bool, typer.Option("--drop-bad-photos", help="Leave out photos that are damaged, absent, or not labelled.")
]
MissingIsEmpty = Annotated[
    bool, typer.Option("--missing-is-empty", help="A photo without a label was looked at, and nothing is there.")
]
KeepSplits = Annotated[
    bool, typer.Option("--keep-splits", help="Keep the dataset's own sides (train, val, test) where nothing leaks.")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Where a photo has a label here already, the dataset's counts from now on.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and keep nothing.")]


@app.command("import")
@says_errors
def import_(
    path: Source,
    maps: Maps = None,
    group_regex: GroupRegex = None,
    form: Form = None,
    name: Name = None,
    clip: Clip = False,
    drop_bad_boxes: DropBadBoxes = False,
    drop_bad_photos: DropBadPhotos = False,
    missing_is_empty: MissingIsEmpty = False,
    keep_splits: KeepSplits = False,
    replace: Replace = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring a dataset in: all of it, or nothing with every reason why. Nothing in it is run, and no address is fetched."""
    if form is not None and form not in formats.FORMATS:
        raise typer.BadParameter(f"'{form}' is none of {', '.join(formats.FORMATS)}", param_hint="--format")
    chosen = settings.load()
    wish = importing.Wish(
        name=name,
        format=form,
        class_map=_class_map(maps or [], taxonomy.load(chosen.taxonomy or taxonomy.BUILT_IN)),
        group_regex=group_regex,
        repairs=Repairs(clip, drop_bad_boxes, drop_bad_photos, missing_is_empty),
        keep_splits=keep_splits,
        replace=replace,
        dry_run=dry_run,
    )
    try:
        report = _bring_in(chosen, path, wish)
    except DatasetRejected as refusal:
        if isinstance(told := refusal.fields.get("report"), importing.Report):
            _say_import(told, as_json)
        raise
    _say_import(report, as_json)
    if report.refused:  # a dry run of what would be refused
        raise typer.Exit(FAILED)


def _bring_in(chosen: settings.Settings, path: Path, wish: importing.Wish) -> importing.Report:
    limits = PhotoLimits(max_bytes=chosen.max_upload_bytes, max_pixels=chosen.max_pixels)
    with (
        open_store(chosen) as store,
        _scratch(chosen) as scratch,
        _progress(scratch) as say,
        Decoders(limits) as decoders,
    ):
        found = formats.opened(path, scratch, say)
        return importing.bring_in(Place(store.ledger, store.blobs, decoders), store.taxonomy, found, wish, limits, say)


def _class_map(maps: list[str], classes: taxonomy.Taxonomy) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for each in maps:
        theirs, sign, ours = each.rpartition("=")
        if not sign or not theirs.strip():
            raise typer.BadParameter(f"'{each}' is not NAME=CLASS", param_hint="--map")
        if ours.strip() and ours.strip() not in classes.class_names:
            raise RequestInvalid(
                f"--map {each}: '{ours.strip()}' is no class here. The classes are {', '.join(classes.class_names)}.",
                field="map",
            )
        found[theirs.strip()] = ours.strip() or None
    return found


@contextmanager
def _scratch(chosen: settings.Settings) -> Iterator[Path]:
    """A folder for what an archive holds. Where a kill leaves it behind, sweeping finds it by its name."""
    cache = cache_of(chosen)
    make_folder(cache)
    with tempfile.TemporaryDirectory(prefix=".fetch-import-", dir=cache) as folder:
        yield Path(folder)


@contextmanager
def _progress(in_use: Path | None = None) -> Iterator[Say]:
    """A bar a stage on stderr, gone when all is done. `in_use` is touched meanwhile: sweeping takes folders that rest."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=people, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def say(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=of)
            bar.update(tasks[what], completed=done, total=of)
            if in_use is not None:
                os.utime(in_use)

        yield say


def _say_import(report: importing.Report, as_json: bool) -> None:
    if as_json:
        print_json(report.as_dict())
        return
    rows = [{"name": escape(name), **facts} for name, facts in report.classes.items()]
    print_table(rows, ["name", "class", "labels", "photos"], empty="No class was found.")
    _say_problems(report)
    grouped = ", ".join(f"{how}: {count}" for how, count in report.grouped.items()) or "none"
    people.print(f"Groups: {grouped}. Given sides: {report.sides or 'none'}.", markup=False)
    if report.refused:
        return
    verb = "would be" if report.dry_run else "are"
    people.print(
        f"{report.photos} new photos with {report.labels} labels {verb} kept; {report.replaced} labels {verb} replaced.",
        markup=False,
    )


def _say_problems(report: importing.Report) -> None:
    rows = [
        {
            "problem": each.code + (" (repaired)" if each.repaired else ""),
            "where": escape(each.place),
            "what": escape(each.detail),
            "option": formats.KINDS[each.code].option,
        }
        for each in report.problems[:SHOWN]
    ]
    if rows:
        print_table(rows, ["problem", "where", "what", "option"], empty="")
    if len(report.problems) > SHOWN:
        people.print(f"... and {len(report.problems) - SHOWN} more: --json lists them all.", markup=False)


@app.command("export")
@says_errors
def export(
    out: Annotated[Path, typer.Argument(help="The folder to write; it has to be empty, or not there yet.")],
    form: Annotated[str, typer.Option("--format", help="yolo, coco or labelstudio.")] = "yolo",
    snapshot: Annotated[str | None, typer.Option(help="Hash of a snapshot; default: every validated label.")] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Only this side: train, val or test. May be given twice.")
    ] = None,
    upright: Annotated[
        bool,
        typer.Option("--upright", help="Turn photos that carry their turn as a word, for tools that do not read it."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write labelled photos as a dataset that other tools open. Confirmed negatives are among them, as empty labels."""
    if form not in formats.FORMATS:
        raise typer.BadParameter(f"'{form}' is none of {', '.join(formats.FORMATS)}", param_hint="--format")
    if wrong := set(split or ()) - {"train", "val", "test"}:
        raise typer.BadParameter(f"'{min(wrong)}' is none of train, val, test", param_hint="--split")
    with open_store(settings.load()) as store, _progress() as say:
        wish = exporting.Wish(form, snapshot, tuple(split or ()), upright)
        report = exporting.write_out(store.ledger, store.blobs, store.taxonomy, out, wish, say)
    if as_json:
        print_json(report.as_dict())
        return
    for sentence in report.sentences():
        people.print(sentence, markup=False)


app.command()(snapshots.snapshot)
app.command("list")(snapshots.list_snapshots)
app.command()(snapshots.show)
app.command()(snapshots.diff)
app.command()(snapshots.verify)
app.command()(keeping.purge)
app.command()(keeping.erase)
app.command()(keeping.person)
app.command("csv")(keeping.csv)
