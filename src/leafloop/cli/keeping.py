"""`leafloop data purge | erase | person | csv`: what is kept how long, what goes for good, and what people may have of it.

`cli.data` puts these commands into its group.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from leafloop import settings
from leafloop.cli.output import USAGE, Json, people, print_json, says_errors
from leafloop.errors import BlobMissing, RequestInvalid
from leafloop.learning.keeping import erasure, tables_csv
from leafloop.learning.keeping import person as person_data
from leafloop.live import forgetting, purging
from leafloop.live.parts import Store, open_store
from leafloop.storage.objects import KEY
from leafloop.vision.kept import EXTENSIONS, copy_of

UserId = Annotated[str, typer.Option(help="Whose, as it was sent with photos and words.")]
KeyId = Annotated[
    str | None, typer.Option("--key", help="Within this key's id alone; 'open': what was sent without a key.")
]
EveryKey = Annotated[
    bool, typer.Option("--every-key", help="Under every key: only where the same name is the same person.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would go, and what would stay.")]


def _store() -> Store:
    return open_store(settings.load())


@says_errors
def purge(dry_run: DryRun = False, as_json: Json = False) -> None:
    """Take away what is kept longer than the settings say, and say why the rest stays.

    The settings are LEAFLOOP_KEEP_PHOTOS_DAYS, _LABELS_DAYS, _FEEDBACK_DAYS and _AUDIT_DAYS; each is 0 at first: for ever.
    A photo that a label, an open review or a snapshot needs stays. docs/RETENTION.md tells it all.
    """
    with _store() as store:
        done = purging.purge(store, dry_run=dry_run)
    if as_json:
        print_json(done.as_dict())
        return
    forever = [kind for kind, days in done.keep_days.items() if days == 0]
    if len(forever) == len(done.keep_days):
        people.print("Everything is kept for ever: no LEAFLOOP_KEEP_..._DAYS is set.", markup=False)
        return
    people.print(f"{_counted(done.removed)} {'would go' if dry_run else 'went'}.", markup=False)
    for stays in done.stays:
        people.print(f"{stays['count']} {stays['what']} are old enough and stay: {stays['why']}.", markup=False)
    if forever:
        people.print(f"Kept for ever by their settings: {', '.join(forever)}.", markup=False)


@says_errors
def erase(
    reason: Annotated[
        str, typer.Option(help="Why, for tombstones and audit log. It stays for good: do not name the person.")
    ],
    user_id: Annotated[str | None, typer.Option(help="The person whose data goes.")] = None,
    key: KeyId = None,
    every_key: EveryKey = False,
    photo: Annotated[
        str | None, typer.Option(help="Instead of a person: one photo, by the SHA-256 of its file or of its kept copy.")
    ] = None,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: what is erased cannot be brought back.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a person's data, or one photo, for good and everywhere, frozen snapshots too.

    A snapshot's manifest stays and verifies; each photo of it that is gone gets a tombstone. The snapshots and the models that
    saw a photo are listed: whether such a model is trained anew is for you to decide. Stopped half-way, run it again. Backups are
    yours to see to: docs/RETENTION.md.
    """
    if (user_id is None) == (photo is None):
        people.print("Say whom or what: --user-id NAME or --photo SHA256.", markup=False)
        raise typer.Exit(USAGE)
    with _store() as store:
        whom = _whom(store, user_id, key, every_key, photo)
        looked = forgetting.erase(store, whom, reason=reason, dry_run=True)
        if dry_run:
            _say_erased(looked, as_json)
            return
        if not yes:
            _say_erased(looked, False)
            typer.confirm("This cannot be undone. Go on?", abort=True, err=True)
        done = forgetting.erase(store, whom, reason=reason)
    _say_erased(done, as_json)


@says_errors
def person(
    user_id: UserId,
    key: KeyId = None,
    every_key: EveryKey = False,
    out: Annotated[Path | None, typer.Option(help="File to write; default stdout.")] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Folder for the kept copies of their photos; made if it is not there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give out all that is kept about a person, as JSON: answers, words, labels, reviews, uploads and audit entries.

    With --out the JSON is written to a file that only you can read, and stdout gets a summary.
    """
    with _store() as store:
        with store.ledger.reading() as session:
            whom = erasure.person(session, user_id, key, every_key=every_key)
            document = person_data.document(session, whom)
            kept = list(person_data.photos(session, whom)) if photos else []
        copied, missing = _copy(store, kept, photos) if photos else (0, [])
    counts = {kind: len(rows) for kind, rows in document.items() if isinstance(rows, list)}
    if out is None:
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=None if as_json else 2) + "\n")
        return
    with _file(out) as file:
        json.dump(document, file, ensure_ascii=False, indent=2)
    if as_json:
        print_json({"out": str(out), "counts": counts, "copied": copied, "missing": missing})
    else:
        people.print(f"{out}: {_counted(counts)}; {copied} photos copied.", markup=False)


@says_errors
def csv(
    table: Annotated[str, typer.Argument(help="predictions, feedback or labels.")],
    out: Annotated[Path | None, typer.Option(help="File to write; default stdout.")] = None,
    since: Annotated[str | None, typer.Option(help="Only what is of this day or later, UTC: 2026-11-27.")] = None,
    bom: Annotated[
        bool, typer.Option("--bom", help="Begin with a byte order mark, by which Excel knows UTF-8.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a table as CSV (UTF-8, RFC 4180) for a spreadsheet. No text in it can run as a formula.

    With --json, and --out, stdout says how many rows were written.
    """
    if table not in tables_csv.KINDS:
        raise RequestInvalid(f"There is no table '{table[:64]}'. Say one of: {', '.join(tables_csv.KINDS)}.")
    moment = _day(since)
    if out is None and as_json:
        people.print("--json needs --out FILE: stdout cannot be both.", markup=False)
        raise typer.Exit(USAGE)
    with _store() as store, _file(out) if out else nullcontext(sys.stdout) as file:
        rows = tables_csv.write(store.ledger, table, file, since=moment, bom=bom)
    if as_json:
        print_json({"out": str(out), "rows": rows})
    elif out:
        people.print(f"{out}: {rows} rows.", markup=False)


def _whom(store: Store, user_id: str | None, key: str | None, every_key: bool, photo: str | None) -> erasure.Whom:
    if photo is not None and not KEY.fullmatch(photo):
        raise RequestInvalid("--photo is a SHA-256: 64 hexadecimal digits in small letters.", field="photo")
    with store.ledger.reading() as session:
        if photo is not None:
            return erasure.photo(session, photo)
        return erasure.person(session, str(user_id), key, every_key=every_key)


def _say_erased(done: forgetting.Erased, as_json: bool) -> None:
    if as_json:
        print_json(done.as_dict())
        return
    people.print(f"{_counted(done.removed)} {'would go' if done.dry_run else 'went'}.", markup=False)
    for kept in done.kept:
        people.print(f"{kept['count']} {kept['what']} stay in the object store. {kept['why']}", markup=False)
    for snapshot in done.snapshots:
        people.print(f"Snapshot {snapshot['hash'][:12]} names {snapshot['photos']} of the photos.", markup=False)
    for model in done.models:
        people.print(f"Model {model['version']} was trained on snapshot {model['snapshot'][:12]}.", markup=False)
    if not done.dry_run and any(done.removed.values()):
        people.print("Backups still hold it until they run out: docs/RETENTION.md says what to do.", markup=False)


def _copy(store: Store, kept: list[person_data.KeptPhoto], folder: Path) -> tuple[int, list[str]]:
    """Write photos into a folder, by hash: (how many, hashes of those that cannot be given)."""
    folder.mkdir(0o700, parents=True, exist_ok=True)
    missing = []
    for photo in kept:
        try:
            data = store.blobs.get(photo.stored_sha256)
        except BlobMissing:
            missing.append(photo.image_hash)
            continue
        kind = photo.media_type or copy_of(data).media_type
        (folder / f"{photo.image_hash}.{EXTENSIONS[kind]}").write_bytes(data)
    return len(kept) - len(missing), missing


def _counted(counts: dict[str, Any]) -> str:
    said = [f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items() if count]
    return ", ".join(said) if said else "Nothing"


def _day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RequestInvalid("--since is not a date. Write it like 2026-11-27.", field="since") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@contextmanager
def _file(path: Path) -> Iterator[TextIO]:
    """A file that only its owner can read, there once it is whole."""
    draft = path.with_name(f".{path.name}.part")
    draft.unlink(missing_ok=True)
    draft.touch(0o600)
    try:
        with draft.open("w", encoding="utf-8", newline="") as file:
            yield file
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
