"""`leafloop models`: which models there are, and which one answers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from leafloop import settings, taxonomy
from leafloop.cli.output import Json, people, print_json, print_table, says_errors
from leafloop.learning import registry
from leafloop.live import promotion
from leafloop.live.parts import Store, open_store
from leafloop.vision.bundle import open_bundle
from leafloop.vision.onnx_import import from_onnx

app = typer.Typer(no_args_is_help=True, help="List, import and promote models; go back to the one before.")

Reason = Annotated[str, typer.Option(help="Why, for the audit log.")]


def _store() -> Store:
    return open_store(settings.load())


@app.command("list")
@says_errors
def list_models(as_json: Json = False) -> None:
    """List all versions. The one with the alias `champion` answers."""
    with _store() as store:
        rows = registry.list_versions(store.ledger)
    if as_json:
        print_json(rows)
    else:
        print_table(
            rows,
            ["version", "aliases", "name", "source", "created_at", "bundle"],
            empty="No model yet: leafloop models import model.onnx",
        )


@app.command("import")
@says_errors
def import_model(
    path: Annotated[Path, typer.Argument(exists=True, help="An ONNX file, or a bundle's folder.")],
    classes: Annotated[
        Path | None, typer.Option("--taxonomy", help="The taxonomy of an ONNX file's classes [LEAFLOOP_TAXONOMY].")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Box layout, where the file does not say: xyxy or cxcywh.")] = None,
    colour_order: Annotated[
        str | None, typer.Option(help="Colour order of the input, where the file does not say: rgb or bgr.")
    ] = None,
    divide_by: Annotated[
        float | None, typer.Option(help="What pixels are divided by, where the file does not say: 255 or 1.")
    ] = None,
    objectness: Annotated[
        bool | None,
        typer.Option("--objectness/--no-objectness", help="Whether an objectness score precedes the classes."),
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of the input in pixels, where the file leaves it open: 256, 416, 640, 736.")
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="The model wants the whole photo, not tiles of it.")] = False,
    licence: Annotated[str, typer.Option(help="SPDX name of the weights' licence.")] = "LicenseRef-unknown",
    as_json: Json = False,
) -> None:
    """Import a model. It is checked, probed and stored; it answers only once promoted."""
    with _store() as store, tempfile.TemporaryDirectory() as scratch:
        if path.is_dir():
            opened = open_bundle(path)
        else:
            opened = from_onnx(
                path,
                taxonomy.load(classes) if classes else store.taxonomy,
                Path(scratch) / "bundle",
                layout=layout,
                colour_order=colour_order,
                divide_by=divide_by,
                objectness=objectness,
                size=size,
                tiling="whole" if whole else "tiles",
                licence=licence,
            )
        version = registry.add_bundle(opened, store.ledger, store.blobs, source=path.name, actor="cli")
    _say(
        as_json,
        {"version": version, "bundle": opened.hash},
        f"Version {version}. It answers after: leafloop models promote {version} --reason '...'",
    )


@app.command()
@says_errors
def promote(
    version: Annotated[str, typer.Argument(help="As 'leafloop models list' shows it.")],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Let a version answer. Running services follow within a second, without a restart."""
    with _store() as store:
        moved = promotion.promote(store, version, reason=reason, actor="cli")
    _say(as_json, moved, f"Version {moved['version']} answers now; before it, {moved['previous']}.")


@app.command()
@says_errors
def rollback(
    reason: Reason,
    version: Annotated[str | None, typer.Option(help="Where to; default the version before.")] = None,
    as_json: Json = False,
) -> None:
    """Go back to the version before. Running services follow within a second."""
    with _store() as store:
        moved = promotion.rollback(store, version, reason=reason, actor="cli")
    _say(as_json, moved, f"Back to version {moved['version']}, away from {moved['previous']}.")


def _say(as_json: bool, value: dict[str, Any], sentence: str) -> None:
    if as_json:
        print_json(value)
    else:
        people.print(sentence, markup=False)
