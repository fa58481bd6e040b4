"""`leafloop predict PHOTO...`: photos in, verdicts out, kept like every other answer."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import cv2
import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leafloop import settings
from leafloop.api import problems
from leafloop.cli.output import FAILED, Json, people, print_json, print_table, says_errors
from leafloop.errors import PhotoError, RequestInvalid
from leafloop.live import parts as live_parts
from leafloop.live.answering import Sender, Submission

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif"}
)  # what a folder is searched for; files named are always tried
COLUMNS = ("path", "outcome", "class_name", "confidence", "reliable", "lesions", "error")

Answer = dict[str, Any]


@says_errors
def predict(
    photos: Annotated[list[Path], typer.Argument(exists=True, help="Photos, or folders of photos.")],
    as_json: Json = False,
    form: Annotated[
        Literal["table", "json", "csv"], typer.Option("--format", help="json: one line a photo.")
    ] = "table",
    save_boxes: Annotated[
        Path | None, typer.Option(help="Folder for copies of the photos with the boxes drawn.")
    ] = None,
    user_id: Annotated[str | None, typer.Option(help="Whose photos these are.")] = None,
    group: Annotated[
        str | None, typer.Option(help="Plant, plot or session: photos of one group stay together in datasets.")
    ] = None,
) -> None:
    """Answer photos right here, without a running service. Photos and answers are kept in the same home."""
    chosen = settings.load()
    paths = list(_photos_in(photos))
    if not paths:
        raise RequestInvalid(
            f"No photo in {', '.join(map(str, photos))}. Folders are searched for {', '.join(sorted(SUFFIXES))}."
        )
    with live_parts.open_parts(chosen) as parts:
        answers = (_answer(parts, path, user_id, group, save_boxes) for path in _with_progress(paths))
        failed = _WRITERS["json" if as_json else form](answers)
    if failed:
        people.print(f"{failed} of {len(paths)} photos were not answered.", markup=False)
        raise typer.Exit(FAILED)


def _photos_in(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from sorted(p for p in place.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES)
        else:
            yield place


def _with_progress(paths: list[Path]) -> Iterator[Path]:
    columns = (TextColumn("photos"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=people, transient=True, disable=len(paths) == 1) as bar:
        yield from bar.track(paths)


def _answer(
    parts: live_parts.Parts, path: Path, user_id: str | None, group: str | None, save_boxes: Path | None
) -> Answer:
    try:
        data = path.read_bytes()
        sender = Sender(key_id=None, role="operator", user_id=user_id)
        submission = Submission(data=data, file_name=path.name, user_id=user_id, group=group, source="cli")
        answer = parts.answering.answer(submission, sender)
    except PhotoError as error:
        return {
            "path": str(path),
            "error": {"code": error.code, "status": problems.status_of(type(error)), "detail": error.detail},
        }
    except OSError as error:
        detail = f"{path} cannot be read ({error.strerror})."
        return {"path": str(path), "error": {"code": "unreadable", "status": 422, "detail": detail}}
    if save_boxes is not None:
        _draw(parts, data, answer, save_boxes / f"{path.stem}.boxes.jpg")
    return {"path": str(path), **answer}


def _draw(parts: live_parts.Parts, data: bytes, answer: Answer, target: Path) -> None:
    """Write the upright photo with boxes and class names; the copy holds no metadata."""
    pixels = np.ascontiguousarray(parts.decoders.read(data, parts.decoders.check(data)).pixels[:, :, ::-1])
    width = max(2, round(max(pixels.shape[:2]) / 600))
    for found in answer["detections"]:
        red, green, blue = bytes.fromhex(parts.taxonomy.classes[found["class_id"]].colour[1:])
        corner, opposite = ((round(found["bbox"][a]), round(found["bbox"][b])) for a, b in (("x1", "y1"), ("x2", "y2")))
        cv2.rectangle(pixels, corner, opposite, (blue, green, red), width)
        label = f"{found['class_name']} {found['confidence']:.2f}"
        cv2.putText(
            pixels,
            label,
            (corner[0], max(12, corner[1] - width)),
            cv2.FONT_HERSHEY_SIMPLEX,
            width / 4,
            (blue, green, red),
            width,
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())


class _Writer(Protocol):
    def __call__(self, answers: Iterable[Answer]) -> int:
        """Print the answers and give the number of photos that were not answered."""


def _as_json_lines(answers: Iterable[Answer]) -> int:
    failed = 0
    for answer in answers:
        print_json(answer)
        failed += "error" in answer
    return failed


def _as_csv(answers: Iterable[Answer]) -> int:
    failed, table = 0, csv.DictWriter(sys.stdout, COLUMNS)
    table.writeheader()
    for answer in answers:
        table.writerow({k: _safe_cell(v) for k, v in _row(answer).items()})
        failed += "error" in answer
    return failed


def _as_table(answers: Iterable[Answer]) -> int:
    rows = [_row(answer) for answer in answers]
    print_table(rows, COLUMNS, empty="No photo.")
    return sum(row["error"] is not None for row in rows)


_WRITERS: dict[str, _Writer] = {"json": _as_json_lines, "csv": _as_csv, "table": _as_table}


def _row(answer: Answer) -> dict[str, Any]:
    error = answer.get("error")
    return {
        **{column: answer.get(column) for column in COLUMNS},
        "lesions": len(answer["detections"]) if "detections" in answer else None,
        "error": error["detail"] if error else None,
    }


def _safe_cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula is quoted (OWASP: CSV injection)."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
