"""Snapshots over HTTP, for engineers: which there are, and what one consists of. Makes none: `leafloop data snapshot` does."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from leafloop.access import Caller
from leafloop.api import callers, snapshot_schemas
from leafloop.crossing import in_thread
from leafloop.errors import NotFound
from leafloop.learning.snapshots import manifest, naming
from leafloop.live.parts import Parts
from leafloop.storage import snapshots

router = APIRouter(prefix="/api/v1/mlops/snapshots", tags=["snapshots"])

Engineer = Annotated[Caller, Depends(callers.ENGINEER)]
SnapshotHash = Annotated[
    str,
    Path(
        alias="hash",
        pattern=rf"^[0-9a-f]{{{naming.SHORTEST},64}}$",
        description="The snapshot's hash, or its beginning where no other begins so",
    ),
]


@router.get("", response_model=snapshot_schemas.Snapshots)
async def list_snapshots(request: Request, _caller: Engineer) -> dict[str, Any]:
    """Every snapshot, the newest first."""
    return {"items": await in_thread(request, _all, request.app.state.parts)}


@router.get("/{hash}", response_model=snapshot_schemas.SnapshotManifest)
async def get_snapshot(request: Request, _caller: Engineer, snapshot_hash: SnapshotHash) -> dict[str, Any]:
    """One snapshot: its balance, what was left out and why, and the parts of its manifest."""
    return await in_thread(request, _one, request.app.state.parts, snapshot_hash)


def _all(parts: Parts) -> list[dict[str, Any]]:
    with parts.ledger.reading() as session:
        return [naming.as_dict(row) for row in snapshots.newest(session)]


def _one(parts: Parts, prefix: str) -> dict[str, Any]:
    with parts.ledger.reading() as session:
        row = snapshots.get(session, naming.whole(session, prefix))
    if row is None:
        raise NotFound("No snapshot has this hash.")
    return {**naming.as_dict(row), "parts": manifest.read_header(parts.blobs, row.hash)["parts"]}
