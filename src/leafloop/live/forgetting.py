"""A person, or a photo, is erased for good: rows, objects, and the name in what others wrote; what saw the photos is listed.

What must stay verifiable stays: a snapshot's manifest, and a tombstone for each photo of it that is gone. Run again after any
stop, it finishes. What rows go is `learning.keeping.erasure`'s to say.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from leafloop.errors import RequestInvalid
from leafloop.learning.keeping import erasure
from leafloop.learning.keeping.erasure import Whom
from leafloop.learning.keeping.retention import Batch
from leafloop.live import purging
from leafloop.live.parts import Store
from leafloop.storage import audit

_SHARED = (
    "Rows of others name the same bytes: another sender's answer, an imported label, or a snapshot of one of these."
)
MAX_REASON = 1000  # a sentence for the audit log, as of a promotion


@dataclass(frozen=True)
class Erased:
    """What went, or would go; what stays and why; the snapshots that name a photo of it, and the models trained on one of those."""

    dry_run: bool
    removed: dict[str, int]
    objects: int
    kept: list[dict[str, Any]]
    snapshots: list[dict[str, Any]]
    models: list[dict[str, str]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def erase(store: Store, whom: Whom, *, reason: str, dry_run: bool = False, actor: str = "cli") -> Erased:
    """Erase. `reason` is kept with the tombstones, so it must not name the person. Raises `RequestInvalid` and `Unavailable`."""
    reason = _checked(reason, whom)
    with store.ledger.reading() as session:
        hashes = erasure.image_hashes(session, whom)
        snapshots, models = erasure.saw(session, hashes)
        due = erasure.due(session, whom)
    if dry_run:
        return Erased(True, due, 0, [], snapshots, models)
    store.blobs.refuse_when_away()
    purging.finish(store)
    if any(due.values()):  # on record before anything goes: what is found now cannot be found after a stop
        with store.ledger.transaction() as session:
            detail = {"due": due, "snapshots": [row["hash"] for row in snapshots], "models": models}
            audit.record(session, actor=actor, action=purging.ERASE, reason=reason, detail=detail)
    removed: Counter[str] = Counter(dict.fromkeys(erasure.KINDS, 0))
    objects, shared = 0, set[str]()
    photos = partial(erasure.take_photos, reason=reason, actor=actor)
    for take in (photos, erasure.take_words, erasure.take_uploads, erasure.take_names, erasure.take_history):
        gone = purging.run(store, _of(whom, take), action=purging.ERASE, actor=actor, reason=reason)
        removed.update(gone.counts)
        objects += gone.objects
        shared |= gone.shared
    kept = [{"what": "photos", "why": _SHARED, "count": len(shared)}] if shared else []
    return Erased(False, dict(removed), objects, kept, snapshots, models)


def _of(whom: Whom, take: Any) -> purging.Take:
    def of_whom(session: Any, _after: Any) -> Batch:
        batch: Batch = take(session, whom)
        return batch

    return of_whom


def _checked(reason: str, whom: Whom) -> str:
    reason = reason.strip()
    if not 1 <= len(reason) <= MAX_REASON:
        raise RequestInvalid(
            f"Say why in 1 to {MAX_REASON} characters: it is kept with the tombstones.", field="reason"
        )
    if isinstance(whom, erasure.Person) and whom.user_id.casefold() in reason.casefold():
        raise RequestInvalid(
            "The reason is kept for good, so it must not name the person. Name the request instead, as in 'request 17'.",
            field="reason",
        )
    return reason
