"""A snapshot by its hash or the beginning of it, and as plain data. Knows no object."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.orm import Session

from leafloop.errors import NotFound, RequestInvalid
from leafloop.storage import snapshots
from leafloop.storage.tables import Snapshot

SHORTEST = 4  # letters: fewer name many snapshots by chance
_PREFIX = re.compile(rf"[0-9a-f]{{{SHORTEST},64}}", re.ASCII)


def whole(session: Session, prefix: str) -> str:
    """The hash that begins so. Raises `NotFound`, and `RequestInvalid` where it is no beginning of a hash or several begin so."""
    prefix = prefix.strip().lower()
    if not _PREFIX.fullmatch(prefix):
        raise RequestInvalid(
            f"A snapshot is named by its hash: {SHORTEST} to 64 of 0-9 and a-f. 'data list' shows all."
        )
    found = snapshots.starting_with(session, prefix)
    if not found:
        raise NotFound(f"No snapshot's hash begins with {prefix}. 'leafloop data list' shows all.")
    if len(found) > 1:
        raise RequestInvalid(f"Several snapshots' hashes begin with {prefix}. Give more letters of it.")
    return found[0]


def as_dict(row: Snapshot) -> dict[str, Any]:
    """A snapshot without its photos."""
    return {
        "hash": row.hash,
        "name": row.name,
        "photos": row.photos,
        "splits": row.splits,
        "classes": row.report["classes"],
        "boxes": row.report["boxes"],
        "weak": row.report["weak"],
        "left_out": row.report["left_out"],
        "options": row.options,
        "actor": row.actor,
        "created_at": row.created_at.isoformat(),
    }
