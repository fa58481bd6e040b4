"""The shapes of snapshots over HTTP. Holds no rule."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from leafloop.api.schemas import Sha256, Shape

Count = Annotated[int, Field(ge=0)]


class BySide(Shape):
    train: Count
    val: Count
    test: Count


class SnapshotShape(Shape):
    """A dataset that never changes, without its photos."""

    hash: Annotated[Sha256, Field(description="Its name: the hash of its manifest")]
    name: Annotated[str | None, Field(description="A label for people; no part of the hash")]
    photos: Count
    splits: BySide
    classes: Annotated[dict[str, BySide], Field(description="Photos by class; an outcome without a class in brackets")]
    boxes: Annotated[dict[str, BySide], Field(description="Boxes by class")]
    weak: Annotated[dict[str, Count], Field(description="Photos with a class and no boxes, by side")]
    left_out: Annotated[dict[str, Count], Field(description="Photos by the reason why they are not in it")]
    options: Annotated[dict[str, Any], Field(description="What decided which photos are in, and where")]
    actor: str
    created_at: datetime


class Snapshots(Shape):
    items: list[SnapshotShape]


class PartShape(Shape):
    first: Annotated[str, Field(pattern="^[0-9a-f]{2}$", description="The byte with which its photos' hashes begin")]
    photos: Count
    sha256: Sha256


class SnapshotManifest(SnapshotShape):
    """A snapshot with the parts of its manifest. `leafloop data show` lists the photos."""

    parts: list[PartShape]
