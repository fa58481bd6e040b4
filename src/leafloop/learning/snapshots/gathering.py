"""Every label that a snapshot has to think of, judged, in order of hash; and which of their photos look alike. Decides no side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from sys import intern
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from leafloop.learning.snapshots import duplicates, eligibility, likenesses
from leafloop.learning.snapshots.eligibility import Rules
from leafloop.learning.snapshots.likenesses import HEAD, Known, Say
from leafloop.learning.snapshots.shares import Author
from leafloop.learning.snapshots.splits import SIDES, Member, Side
from leafloop.storage import snapshots
from leafloop.storage.ledger import Ledger
from leafloop.vision import likeness
from leafloop.vision.likeness import BYTES


@dataclass
class Gathered:
    """Lists that go together, a label at each place. `heads`: the hash of the whole; `authors`: None where no share is capped."""

    members: list[Member] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
    heads: list[bytes | None] = field(default_factory=list)
    authors: list[Author | None] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    revisions: list[int] = field(default_factory=list)
    is_mirrored: list[bool] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)


GONE = "label_gone"  # a photo of an earlier snapshot whose label is deleted; it still holds its side

# What is counted already, or is no label.
NOT_COUNTED = frozenset({eligibility.NOT_VALIDATED, GONE})


def gather(ledger: Ledger, rules: Rules, known: Known, *, keep_given: bool, say: Say) -> Gathered:
    """Read and judge all labels, a page at a time. A new one that may not be in is counted and forgotten: it links nothing."""
    found, after, done = Gathered(), "", 0
    gone: dict[str, Member] = {}
    with ledger.reading() as session:
        total = snapshots.meant(session)
        if not_meant := snapshots.passed_over(session):
            found.passed_over[eligibility.NOT_VALIDATED] = not_meant
    while True:
        with ledger.reading() as session:
            rows = snapshots.labels(session, after=after)
            if not rows:
                break
            _page(session, rows, rules, known, keep_given, found, gone)
        after, done = rows[-1].image_hash, done + len(rows)
        say("labels", min(done, total), total)
    _add_gone(ledger, found, gone, known)
    return found


def _add_gone(ledger: Ledger, found: Gathered, gone: dict[str, Member], known: Known) -> None:
    """Photos of earlier snapshots that have no label any more: what is linked to them is still on their side."""
    with ledger.reading() as session:
        gone |= {row.image_hash: _as_gone(row) for row in snapshots.without_label(session)}
    hashes = sorted(gone.keys() - {member.image_hash for member in found.members})
    for begin in range(0, len(hashes), snapshots.BATCH):
        some = hashes[begin : begin + snapshots.BATCH]
        with ledger.reading() as session:
            sent = snapshots.sent(session, some, HEAD)
        for image_hash in some:
            _add(found, gone[image_hash], GONE, None, _head(sent.get(image_hash), known.homeless.get(image_hash)))


def _as_gone(row: Any) -> Member:
    return Member(row.image_hash, row.stored_sha256, None, "", group_id=row.group_id, side=row.split, counts=False)


def _page(
    session: Session,
    rows: Iterable[Any],
    rules: Rules,
    known: Known,
    keep_given: bool,
    found: Gathered,
    gone: dict[str, Member],
) -> None:
    by_hash = {row.image_hash: row for row in rows}
    sent = snapshots.sent(session, by_hash, HEAD)
    erased = snapshots.erased(session, by_hash)
    refused = snapshots.refused(session, {image_hash: row.image_path for image_hash, row in by_hash.items()})
    sides: dict[str, tuple[str, Side]] = {}
    for row in snapshots.frozen(session, by_hash, {row.image_path for row in by_hash.values()}):
        sides[row.image_hash] = row.group_id, row.split
        gone[row.image_hash] = _as_gone(row)
    for image_hash, row in by_hash.items():
        photo = sent.get(image_hash)
        why = rules.against(row, photo, is_erased=image_hash in erased, is_refused=image_hash in refused)
        why = why or (eligibility.OBJECT_LOST if image_hash in known.lost else None)
        group_id, side = (row.split_group, row.side) if row.side else sides.get(image_hash, (None, None))
        if side is None and why:
            if why not in NOT_COUNTED:
                found.passed_over[why] = found.passed_over.get(why, 0) + 1
            continue
        member = Member(
            image_hash=image_hash,
            stored=row.image_path,
            words=row.group,
            stratum=intern(row.class_name or f"({row.outcome})"),
            may_test=row.may_test,
            given=_given(row) if keep_given else None,
            group_id=group_id,
            side=side,
            counts=why is None,
        )
        _add(found, member, why, row, _head(photo, known.homeless.get(image_hash)))


def _add(found: Gathered, member: Member, why: str | None, row: Any, head: bytes | None) -> None:
    found.members.append(member)
    found.reasons.append(why)
    found.heads.append(head)
    found.authors.append((row.key_id, row.user_id) if row is not None and row.source == "feedback" else None)
    found.ids.append("" if row is None else row.id)
    found.revisions.append(0 if row is None else row.revision)
    found.is_mirrored.append(row is None or row.split_group is not None)


def _head(photo: snapshots.Sent | None, homeless: bytes | None) -> bytes | None:
    """The hash of the whole."""
    head = photo.head if photo is not None and likeness.is_current(photo.head) else homeless
    return bytes(head[1:HEAD]) if head is not None else None


def _given(row: Any) -> Side | None:
    given = (row.metadata or {}).get("given_split")
    return next((side for side in SIDES if side == given), None)


def read_again(ledger: Ledger) -> Iterator[Any]:
    """All labels once more, in the same order, some at a time."""
    after = ""
    while True:
        with ledger.reading() as session:
            rows = snapshots.labels(session, after=after)
        if not rows:
            return
        after = rows[-1].image_hash
        yield from rows


def near(ledger: Ledger, found: Gathered, known: Known, say: Say) -> Iterator[tuple[int, int]]:
    """Pairs of places whose photos are near-duplicates."""
    there = [place for place, head in enumerate(found.heads) if head is not None]
    if len(there) < 2:
        return
    wholes = np.frombuffer(b"".join(found.heads[place] or b"" for place in there), np.uint8).reshape(-1, BYTES)
    hashes = [found.members[place].image_hash for place in there]
    numbers = np.arange(len(there))
    for one, other in duplicates.pairs(likenesses.batches(ledger, hashes, numbers, known, say), wholes):
        yield there[one], there[other]
