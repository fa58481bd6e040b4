"""`leafloop doctor`: one line a part, and what to do when it is not well."""

from __future__ import annotations

import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leafloop import settings, taxonomy
from leafloop.cli.output import FAILED, Json, people, print_json, says_errors
from leafloop.errors import LeafloopError
from leafloop.live import auditing
from leafloop.live import parts as live_parts
from leafloop.live.auditing import Finding, Kept
from leafloop.storage.blobs import open_blobs
from leafloop.vision import photo

LEAST_FREE_BYTES = 1024**3  # some 300 photos of 3 MB: time enough to act
FIXED_SQLITE = (
    3,
    51,
    3,
)  # older ones can corrupt a WAL when two connections checkpoint at once (sqlite.org/wal.html#walresetbug)


@says_errors
def doctor(
    audit: Annotated[
        bool, typer.Option("--audit", help="Read all that is kept, too: is it there, whole, and named once?")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check settings, folder, disk, database, objects, model, codecs and port; say how to mend what is not well.

    After an incident run it with --audit, which reads every photo and model that is kept; the service may run meanwhile.
    """
    findings = [*_examine(), *(_audit() if audit else [])]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(FAILED)


def _print(findings: list[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        console.print("[green]ok  [/]" if finding.ok else "[red]bad [/]", end="")
        console.print(f"{finding.check:<10} {finding.detail}", markup=False)
        if finding.mend:
            console.print(f"     {'':<10} -> {finding.mend}", markup=False)


def _examine() -> Iterator[Finding]:
    try:
        chosen = settings.load()
    except LeafloopError as error:
        yield Finding("settings", False, error.detail, "Correct the variable; docs/ENVIRONMENT.md lists all.")
        return
    yield Finding("settings", True, f"home {chosen.home}, listening on {chosen.host}:{chosen.port}")
    checks: list[tuple[str, Callable[[settings.Settings], Finding]]] = [
        ("taxonomy", _taxonomy),
        ("disk", _disk),
        ("database", _database),
        ("sqlite", _sqlite),
        ("objects", _objects),
        ("model", _model),
        ("retention", _retention),
        ("codecs", _codecs),
        ("port", _port),
    ]
    for name, check in checks:
        try:
            yield check(chosen)
        except LeafloopError as error:
            yield Finding(name, False, error.detail, _MENDS.get(name, ""))


def _audit() -> list[Finding]:
    try:
        chosen = settings.load()
        with closing(live_parts.open_ledger(chosen)) as ledger, _bar() as on_object:
            return list(auditing.audit(Kept(ledger, open_blobs(chosen.blobs), on_object)))
    except LeafloopError as error:
        return [Finding("audit", False, f"Nothing could be audited. {error.detail}", _MENDS["database"])]


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Progress on stderr: an audit of a hundred thousand photos takes its time."""
    columns = TextColumn("audit"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=people, transient=True, disable=not people.is_terminal) as progress:
        task = progress.add_task("audit", total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


_MENDS = {
    "taxonomy": "Correct the file that LEAFLOOP_TAXONOMY names, or unset it.",
    "database": "Run 'leafloop db upgrade', or check LEAFLOOP_DATABASE_URL and that the server runs.",
    "objects": "Check LEAFLOOP_BLOBS_URL, the folder's permissions, or the AWS_* variables.",
    "model": "Run 'leafloop models list', then promote one that loads; or go back with 'leafloop models rollback'.",
}


def _taxonomy(chosen: settings.Settings) -> Finding:
    classes = taxonomy.load(chosen.taxonomy or taxonomy.BUILT_IN)
    return Finding("taxonomy", True, f"{classes.name} version {classes.version}, {len(classes.classes)} classes")


def _disk(chosen: settings.Settings) -> Finding:
    place = next(p for p in (chosen.home, *chosen.home.parents) if p.exists())
    free = shutil.disk_usage(place).free
    mend = "" if free >= LEAST_FREE_BYTES else "Make room, or move LEAFLOOP_HOME to a larger disk."
    return Finding("disk", not mend, f"{free / 1024**3:.1f} GiB free for {chosen.home}", mend)


def _database(chosen: settings.Settings) -> Finding:
    with closing(live_parts.open_ledger(chosen)) as ledger:
        return Finding("database", True, f"{ledger.dialect}, schema {ledger.revision()}")


def _sqlite(chosen: settings.Settings) -> Finding:
    if not chosen.database.startswith("sqlite"):
        return Finding("sqlite", True, "not in use")
    note = (
        ""
        if sqlite3.sqlite_version_info >= FIXED_SQLITE
        else " (before 3.51.3: use one service process a home, and keep backups)"
    )
    return Finding("sqlite", True, f"version {sqlite3.sqlite_version}{note}")


def _objects(chosen: settings.Settings) -> Finding:
    open_blobs(chosen.blobs).check()
    return Finding("objects", True, "an object was written, read back and removed")


def _model(chosen: settings.Settings) -> Finding:
    with live_parts.open_parts(chosen) as parts:
        live = parts.serving.current()
        return Finding("model", True, f"version {live.version} ({live.name}) answers; bundle {live.bundle_hash[:12]}")


def _retention(chosen: settings.Settings) -> Finding:
    kinds = ("photos", "labels", "feedback", "audit")
    days = {kind: getattr(chosen, f"keep_{kind}_days") for kind in kinds}
    kept = ", ".join(f"{kind} {f'{count} days' if count else 'for ever'}" for kind, count in days.items())
    consent = "only with consent" if chosen.consent_required else "unless refused"
    return Finding(
        "retention",
        True,
        f"kept: {kept} ('leafloop data purge' takes away the rest); positions to {chosen.location_decimals} decimals; "
        f"photos are trained on {consent}",
    )


def _codecs(_: settings.Settings) -> Finding:
    versions = ", ".join(f"{name} {version}" for name, version in photo.codec_versions().items())
    outdated = ", ".join(f"{name} {floor}" for name, floor in photo.outdated_codecs().items())
    mend = (
        f"Known holes are closed in {outdated}: run 'make clean run', or install the requirements again."
        if outdated
        else ""
    )
    return Finding("codecs", not outdated, versions, mend)


def _port(chosen: settings.Settings) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in chosen.host else socket.AF_INET) as probe:
        probe.settimeout(2)
        taken = probe.connect_ex((chosen.host, chosen.port)) == 0
    return Finding(
        "port", True, f"{chosen.port} answers already: a service runs there" if taken else f"{chosen.port} is free"
    )
