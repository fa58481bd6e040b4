"""A snapshot is made: labels are judged, put on their sides, written down, and named by the hash of what was written.

`make` is the whole of it: gather -> link -> place -> cap -> gate -> write the objects -> write the rows, in one transaction.
Whatever stops it leaves objects that no row names (they are swept), or everything. Made twice, it is the same snapshot.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

import leafloop
from leafloop import log
from leafloop.errors import DatabaseBusy, SnapshotRejected
from leafloop.learning.snapshots import gathering, likenesses, manifest, splits
from leafloop.learning.snapshots.eligibility import QualityGate, Rules
from leafloop.learning.snapshots.gathering import Gathered
from leafloop.learning.snapshots.likenesses import Say
from leafloop.learning.snapshots.shares import AuthorCap
from leafloop.learning.snapshots.splits import Place, Side
from leafloop.storage import audit, named, snapshots
from leafloop.storage.blobs import BlobStore, hash_of
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Snapshot
from leafloop.taxonomy import Taxonomy
from leafloop.vision import likeness

_log = log.get(__name__)

RACES = 5  # times that others may change labels or sides meanwhile, before it is given up
OVER_CAP = "over_author_cap"


@dataclass(frozen=True)
class Options:
    """What decides which photos are in, and where. The defaults are for real use; `allow_small` is for trying out."""

    shares: dict[Side, float] = field(default_factory=lambda: dict(splits.SHARES))
    author_cap: AuthorCap = field(default_factory=AuthorCap)
    gate: QualityGate | None = field(default_factory=QualityGate)
    consent_required: bool = False
    keep_given: bool = True  # a dataset's own split, where the import kept it
    min_photos: dict[Side, int] = field(default_factory=lambda: {"train": 1, "val": 1, "test": 1})
    min_classes: int = 2
    allow_small: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The options that matter to what is in it."""
        return {
            "shares": self.shares,
            "author_cap": asdict(self.author_cap),
            "quality_gate": self.gate.as_dict() if self.gate else None,
            "consent_required": self.consent_required,
            "keep_given_splits": self.keep_given,
        }


@dataclass(frozen=True)
class Made:
    """What was made, or would be. `classes`: photos by class and side; `left_out`: photos by reason; not `is_new`: it was there."""

    hash: str
    photos: int
    splits: dict[str, int]
    classes: dict[str, dict[str, int]]
    boxes: dict[str, dict[str, int]]
    weak: dict[str, int]
    left_out: dict[str, int]
    is_new: bool

    def report(self) -> dict[str, Any]:
        return {"classes": self.classes, "boxes": self.boxes, "weak": self.weak, "left_out": self.left_out}


class _ChangedMeanwhileError(Exception):
    """A side, a label or an object is another than when it was read: begin again."""


def _quiet(_what: str, _done: int, _of: int) -> None:
    pass


def make(
    ledger: Ledger,
    blobs: BlobStore,
    taxonomy: Taxonomy,
    options: Options,
    *,
    actor: str,
    name: str | None = None,
    dry_run: bool = False,
    say: Say = _quiet,
) -> Made:
    """Make a snapshot of the labels as they are now. A dry run only says what would be made.

    Raises `SnapshotRejected` with the reasons, and the `Unavailable` errors.
    """
    known = likenesses.fill(ledger, blobs, say)
    for _ in range(RACES):
        try:
            return _Attempt(ledger, blobs, taxonomy, options, known, say).run(actor, name, dry_run)
        except (_ChangedMeanwhileError, IntegrityError):
            _log.info("labels or sides changed while a snapshot was made; beginning again")
    raise DatabaseBusy("Labels change faster than a snapshot can be made of them. Try again when less is going on.")


@dataclass
class _Attempt:
    ledger: Ledger
    blobs: BlobStore
    taxonomy: Taxonomy
    options: Options
    known: likenesses.Known
    say: Say

    def run(self, actor: str, name: str | None, dry_run: bool) -> Made:
        with self.ledger.reading() as session:
            state = snapshots.state(session)
        rules = Rules(self.taxonomy.class_names, self.options.consent_required, self.options.gate)
        found = gathering.gather(self.ledger, rules, self.known, keep_given=self.options.keep_given, say=self.say)
        near = gathering.near(self.ledger, found, self.known, self.say)
        places = splits.place(found.members, near, shares=self.options.shares)
        left_out = _leave_out(found, places, self.options.author_cap)
        written = _Written(self.blobs, dry_run)
        facts = _facts(found, places, self.taxonomy, self.options)
        refuse(facts, left_out, self.options)
        for part in manifest.parts(self._lines(found, places, written)):
            written.part(part)
        data = manifest.header(facts, written.parts)
        key = hash_of(data) if dry_run else self.blobs.put(data)
        made = Made(
            key,
            facts["photos"],
            facts["splits"],
            facts["balance"],
            written.balance(),
            dict(written.weak),
            left_out,
            True,
        )
        if dry_run:
            return made
        made = self._record(made, found, places, written, state, actor, name)
        self._mirror(found, places)
        return made

    def _lines(self, found: Gathered, places: list[Place], written: _Written) -> Iterator[manifest.Line]:
        """The photos that are in, as they are written. Labels are read again, since boxes would fill the memory."""
        rows = gathering.read_again(self.ledger)
        for number, (member, where) in enumerate(zip(found.members, places, strict=True)):
            if where.side is None:
                continue
            row = next((each for each in rows if each.image_hash >= member.image_hash), None)
            if row is None or (row.image_hash, row.revision) != (member.image_hash, found.revisions[number]):
                raise _ChangedMeanwhileError
            line = line_of(row, where)
            written.count(line)
            yield line
            self.say("manifest", number + 1, len(found.members))

    def _record(
        self,
        made: Made,
        found: Gathered,
        places: list[Place],
        written: _Written,
        state: tuple[int, int, int],
        actor: str,
        name: str | None,
    ) -> Made:
        """The rows, in one transaction; the objects are there."""
        with self.ledger.transaction() as session:
            snapshots.lock(session)
            if not self._as_read(session, found, places):
                raise _ChangedMeanwhileError
            if (there := snapshots.get(session, made.hash)) is not None:
                self._refuse_unwilling(session, made.hash)
                return Made(**{**made.__dict__, "is_new": False, "left_out": there.report["left_out"]})
            if snapshots.state(session) != state:
                raise _ChangedMeanwhileError
            keys = [each["sha256"] for each in written.parts]
            _hold(session, self.blobs, [made.hash, *keys])
            row = Snapshot(
                hash=made.hash,
                name=name,
                photos=made.photos,
                splits=made.splits,
                options=self.options.as_dict(),
                report=made.report(),
                parts=keys,
                actor=actor,
            )
            snapshots.add(session, row, _new_groups(found, places), _photo_rows(made.hash, found, places))
            self._refuse_unwilling(session, made.hash)
            detail = {"photos": made.photos, "splits": made.splits, "left_out": made.left_out}
            audit.record(session, actor=actor, action="snapshot", subject=made.hash, reason=name, detail=detail)
        _log.info("snapshot made", hash=made.hash, photos=made.photos, **made.splits)
        return made

    def _as_read(self, session: Session, found: Gathered, places: list[Place]) -> bool:
        """Whether every label that is in is there as it was read: it took minutes since."""
        rows = snapshots.standing(session)
        for number, (member, where) in enumerate(zip(found.members, places, strict=True)):
            if where.side is not None:
                row = next((each for each in rows if each.image_hash >= member.image_hash), None)
                if row is None or tuple(row) != (member.image_hash, found.revisions[number], member.words):
                    return False
        return True

    def _refuse_unwilling(self, session: Session, snapshot_hash: str) -> None:
        if snapshots.unwilling(session, snapshot_hash, consent_required=self.options.consent_required):
            raise _ChangedMeanwhileError

    def _mirror(self, found: Gathered, places: list[Place]) -> None:
        """Repeat the sides beside the labels, a batch a transaction, so that nobody waits for a hundred thousand rows. Where this
        is cut off nothing is wrong, since sides are read from the snapshots' own rows too, and the next run makes it good."""
        rest = list(_mirrored(found, places))
        for begin in range(0, len(rest), snapshots.BATCH):
            with self.ledger.transaction() as session:
                snapshots.mirror(session, rest[begin : begin + snapshots.BATCH])


class _Written:
    """The parts as they are written, and what is counted on the way."""

    def __init__(self, blobs: BlobStore, dry_run: bool) -> None:
        self._blobs, self._dry_run = blobs, dry_run
        self.parts: list[dict[str, Any]] = []
        self.weak: Counter[str] = Counter()
        self._boxes: dict[str, Counter[str]] = defaultdict(Counter)

    def part(self, part: manifest.Part) -> None:
        key = hash_of(part.data) if self._dry_run else self._blobs.put(part.data)
        self.parts.append({"first": part.first, "photos": part.photos, "sha256": key})

    def count(self, line: manifest.Line) -> None:
        self.weak[line["split"]] += line["strength"] == "weak"
        for box in line["labels"] or ():
            self._boxes[box["class_name"]][line["split"]] += 1

    def balance(self) -> dict[str, dict[str, int]]:
        return _by_side(self._boxes)


def line_of(row: Any, where: Place) -> manifest.Line:
    """A photo as the manifest says it. A weak label has no boxes, which is null and not an empty list."""
    strong = row.strength == "strong"
    return {
        "sha256": row.image_hash,
        "stored_sha256": row.image_path,
        "split": where.side,
        "group": where.group_id,
        "source": row.source,
        "source_id": row.source_id,
        "feedback_ids": sorted(row.feedback_ids or ()),
        "name": row.name
        if row.source == "import"
        else None,  # people name their photos, and a manifest outlives an erasure
        "width": row.width,
        "height": row.height,
        "outcome": row.outcome,
        "class": row.class_name,
        "strength": row.strength,
        "labels": manifest.boxes(row.bbox_data or []) if strong else None,
    }


def _leave_out(found: Gathered, places: list[Place], cap: AuthorCap) -> dict[str, int]:
    """Take out of `places` whoever may not be in; how many for each reason."""
    counts: Counter[str] = Counter(found.passed_over)
    for number, why in enumerate(found.reasons):
        places[number] = Place(None, None, why) if why else places[number]
    capped = [n for n, where in enumerate(places) if where.side == "train" and found.authors[n] is not None]
    for over in cap.over([found.authors[n] or (None, None) for n in capped]):
        places[capped[over]] = Place(None, None, OVER_CAP)
    counts.update(where.left_out for where in places if where.left_out and where.left_out not in gathering.NOT_COUNTED)
    return dict(sorted(counts.items()))


def _facts(found: Gathered, places: list[Place], taxonomy: Taxonomy, options: Options) -> dict[str, Any]:
    """What the header says beside its parts."""
    sides: Counter[str] = Counter()
    balance: dict[str, Counter[str]] = defaultdict(Counter)
    for member, where in zip(found.members, places, strict=True):
        if where.side is not None:
            sides[where.side] += 1
            balance[member.stratum][where.side] += 1
    return {
        "code": leafloop.__version__,
        "likeness": likeness.VERSION,
        "classes": {"taxonomy": taxonomy.name, "names": list(taxonomy.class_names)},
        "options": options.as_dict(),
        "photos": sides.total(),
        "splits": {side: sides[side] for side in splits.SIDES},
        "balance": _by_side(balance),
    }


def _by_side(counts: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {name: {side: counts[name][side] for side in splits.SIDES} for name in sorted(counts)}


def refuse(facts: dict[str, Any], left_out: dict[str, int], options: Options) -> None:
    """The gate for the whole. Raises `SnapshotRejected` with every reason."""
    reasons = [] if facts["photos"] else ["there is no photo with a validated label"]
    if facts["photos"] and not options.allow_small:
        least = options.min_photos
        few = {side: facts["splits"][side] for side in splits.SIDES if facts["splits"][side] < least[side]}
        reasons += [f"{side} has {count} photos and needs {least[side]}" for side, count in few.items()]
        if len(facts["balance"]) < options.min_classes:
            classes = ", ".join(facts["balance"])
            reasons.append(f"there are {len(facts['balance'])} classes ({classes}) of {options.min_classes} at least")
    if reasons:
        out = "; ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise SnapshotRejected(
            f"No snapshot was made: {'; '.join(reasons)}. Left out: {out or 'nothing'}. "
            "Review more photos or import a dataset; --allow-small makes a small one for trying out.",
            reasons=reasons,
            left_out=left_out,
        )


def _hold(session: Session, blobs: BlobStore, keys: list[str]) -> None:
    """No row names these objects yet, so a sweeper may have taken old ones that an earlier attempt left."""
    for key in sorted(keys):
        named.hold(session, key)
    if not all(blobs.has(key) for key in keys):
        raise _ChangedMeanwhileError


def _new_groups(found: Gathered, places: list[Place]) -> Iterator[dict[str, Any]]:
    sides = {where.group_id: where.side for where in places if where.group_id is not None}
    known = {member.group_id for member in found.members}
    for group_id in sorted(group_id for group_id in sides if group_id and group_id not in known):
        yield {"id": group_id, "split": sides[group_id]}


def _photo_rows(snapshot_hash: str, found: Gathered, places: list[Place]) -> Iterator[dict[str, Any]]:
    for member, where in zip(found.members, places, strict=True):
        if where.side is not None:
            yield {
                "snapshot_hash": snapshot_hash,
                "image_hash": member.image_hash,
                "stored_sha256": member.stored,
                "group_id": where.group_id,
                "split": where.side,
            }


def _mirrored(found: Gathered, places: list[Place]) -> Iterator[dict[str, Any]]:
    for number, where in enumerate(places):
        if where.side is not None and not found.is_mirrored[number]:
            yield {"label_id": found.ids[number], "group_id": where.group_id, "side": where.side}
