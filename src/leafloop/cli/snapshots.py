"""`leafloop data snapshot | list | show | diff | verify`: immutable datasets. Registered by `cli/data.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leafloop import settings
from leafloop.cli.output import FAILED, GATE_HELD, Json, people, print_json, print_table, says_errors
from leafloop.errors import NotFound, SnapshotRejected
from leafloop.learning.snapshots import building, difference, manifest, naming, verification
from leafloop.learning.snapshots.eligibility import QualityGate
from leafloop.learning.snapshots.shares import AuthorCap
from leafloop.learning.snapshots.splits import SIDES, Side
from leafloop.live.parts import Store, open_store
from leafloop.storage import snapshots as rows
from leafloop.storage.tables import Snapshot

SHORT = 12  # letters of a hash that people are shown
SHOWN = 10  # photos of each kind in a difference for people
_DEFAULT = building.Options()

Hash = Annotated[str, typer.Argument(help="The snapshot's hash, or its beginning where no other begins so.")]


def _store() -> Store:
    return open_store(settings.load())


@says_errors
def snapshot(
    name: Annotated[str | None, typer.Option(help="A label for people; it is not a part of the hash.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be made.")] = False,
    allow_small: Annotated[
        bool,
        typer.Option("--allow-small", help="Make it though a side is empty or there is one class: for trying out."),
    ] = False,
    min_train: Annotated[int, typer.Option(min=0, help="Fewest photos to train on.")] = 1,
    min_val: Annotated[int, typer.Option(min=0, help="Fewest photos to validate with.")] = 1,
    min_test: Annotated[int, typer.Option(min=0, help="Fewest photos to test with.")] = 1,
    min_classes: Annotated[int, typer.Option(min=1, help="Fewest classes.")] = _DEFAULT.min_classes,
    author_cap: Annotated[
        float, typer.Option(min=0.01, max=1, help="Largest share of one author in the training photos from feedback.")
    ] = _DEFAULT.author_cap.share,
    key_cap: Annotated[
        float, typer.Option(min=0.01, max=1, help="Largest share of one key in them; 1 where one key is a whole app's.")
    ] = _DEFAULT.author_cap.key_share,
    author_floor: Annotated[
        int, typer.Option(min=0, help="Photos that every author and key may have whatever the share.")
    ] = _DEFAULT.author_cap.floor,
    quality_gate: Annotated[
        bool,
        typer.Option("--quality-gate/--no-quality-gate", help="Leave out blurred, grainy, dark and glaring photos."),
    ] = True,
    given_splits: Annotated[
        bool,
        typer.Option("--given-splits/--no-given-splits", help="Follow the splits of datasets whose import kept them."),
    ] = True,
    as_json: Json = False,
) -> None:
    """Freeze the labels as they are now. Its name is the hash of what it holds; made again, it is the same one."""
    with _store() as store:
        options = replace(
            _DEFAULT,
            author_cap=AuthorCap(author_cap, author_floor, key_cap),
            gate=QualityGate() if quality_gate else None,
            consent_required=store.settings.consent_required,
            keep_given=given_splits,
            min_photos=_least(min_train, min_val, min_test),
            min_classes=min_classes,
            allow_small=allow_small,
        )
        try:
            with _bars() as say:
                made = building.make(
                    store.ledger, store.blobs, store.taxonomy, options, actor="cli", name=name, dry_run=dry_run, say=say
                )
        except SnapshotRejected as error:
            if as_json:
                print_json({"error": {"code": error.code, "detail": error.detail, **error.fields}})
            people.print(f"[bold red]{error.code}[/]", end=" ")
            people.print(error.detail, markup=False)
            raise typer.Exit(GATE_HELD) from error
    if as_json:
        print_json({**asdict(made), "name": name, "dry_run": dry_run})
    else:
        _say_made(made, dry_run)


def _least(train: int, val: int, test: int) -> dict[Side, int]:
    return dict(zip(SIDES, (train, val, test), strict=True))


def _say_made(made: building.Made, dry_run: bool) -> None:
    table = [{"class": klass, **counts} for klass, counts in made.classes.items()]
    print_table([*table, {"class": "photos", **made.splits}], ["class", *SIDES], empty="")
    for reason, count in made.left_out.items():
        people.print(f"left out: {count} {reason}", markup=False)
    word = "would be made" if dry_run else "made" if made.is_new else "was there already"
    Console(highlight=False, soft_wrap=True).print(made.hash, markup=False)
    people.print(f"Snapshot {made.hash[:SHORT]} of {made.photos} photos {word}.", markup=False)


@says_errors
def list_snapshots(as_json: Json = False) -> None:
    """List all snapshots, the newest first."""
    with _store() as store, store.ledger.reading() as session:
        found = [naming.as_dict(row) for row in rows.newest(session)]
    if as_json:
        print_json(found)
        return
    shown = [{**row, "hash": row["hash"][:SHORT], **row["splits"]} for row in found]
    print_table(
        shown, ["hash", "name", "photos", *SIDES, "created_at"], empty="No snapshot yet: leafloop data snapshot"
    )


@says_errors
def show(snapshot_hash: Hash, as_json: Json = False) -> None:
    """Show every photo of a snapshot with its side and labels."""
    with _store() as store:
        row = _named(store, snapshot_hash)
        photos = [_for_readers(line) for line in manifest.read_photos(store.blobs, row.hash)]
    if as_json:
        print_json({**naming.as_dict(row), "photos": photos})
        return
    for photo in photos:
        photo["boxes"] = "-" if photo["strength"] == "weak" else len(photo["labels"])
        photo["sha256"] = photo["sha256"][:SHORT]
    print_table(photos, ["sha256", "split", "outcome", "class", "boxes", "source", "name"], empty="It holds no photo.")


def _for_readers(line: Mapping[str, Any]) -> dict[str, Any]:
    """A photo with a list of labels always: a weak one has its class and no box."""
    if line["labels"] is not None:
        return dict(line)
    return {**line, "labels": [{"class_name": line["class"], "bbox": None}] if line["class"] else []}


@says_errors
def diff(
    one: Annotated[str, typer.Argument(help="The earlier snapshot.")],
    other: Annotated[str, typer.Argument(help="The later one.")],
    as_json: Json = False,
) -> None:
    """Say what is other in a later snapshot: photos added, removed and relabelled. None ever changes its side."""
    with _store() as store:
        first, second = _named(store, one).hash, _named(store, other).hash
        found = difference.between(store.blobs, first, second)
    if as_json:
        print_json({"before": first, "after": second, **asdict(found)})
        return
    for kind in ("added", "removed", "relabelled", "moved", "noted"):
        some = getattr(found, kind)
        names = ", ".join((each if isinstance(each, str) else each["sha256"])[:SHORT] for each in some[:SHOWN])
        people.print(
            f"{len(some)} {kind}{': ' if some else ''}{names}{', ...' if len(some) > SHOWN else ''}", markup=False
        )
    for what, change in found.header.items():
        people.print(f"{what}: {change['before']} -> {change['after']}", markup=False)


@says_errors
def verify(
    snapshot_hash: Annotated[str | None, typer.Argument(help="One snapshot; default all of them.")] = None,
    as_json: Json = False,
) -> None:
    """Read and hash every manifest and photo; say which bits rotted, and where rows differ. Erased photos are counted apart."""
    with _store() as store:
        which = [_named(store, snapshot_hash)] if snapshot_hash else _all(store)
        total = sum(row.photos for row in which)
        with _bars() as say:
            found = verification.verify(store.ledger, store.blobs, which, lambda done: say("verify", done, total))
    if as_json:
        print_json(verification.as_dict(found))
    for fault in found.faults if not as_json else ():
        label = f" ({fault.name})" if fault.name else ""
        people.print(f"{fault.fault}: {fault.what} {fault.key}{label} of {fault.snapshot[:SHORT]}", markup=False)
    people.print(
        f"{found.snapshots} snapshots, {found.photos} photos, {found.erased} of them erased for good; "
        f"{len(found.faults)} faults.",
        markup=False,
    )
    if found.faults:
        people.print(
            "Bring missing and rotten objects back from a backup of the object store, and rows from one of the database.",
            markup=False,
        )
        raise typer.Exit(FAILED)


def _all(store: Store) -> list[Snapshot]:
    with store.ledger.reading() as session:
        return list(rows.newest(session))


def _named(store: Store, prefix: str) -> Snapshot:
    with store.ledger.reading() as session:
        row = rows.get(session, naming.whole(session, prefix))
        if row is None:
            raise NotFound("That snapshot is gone meanwhile.")
        return row


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each step, on stderr, where a person looks on."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=people, transient=True, disable=not people.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def say(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=of)
            progress.update(tasks[what], completed=done, total=of)

        yield say
