"""The shapes of what is said about deleting: what is gone, and what stays where and why. Holds no rule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from leafloop.api.schemas import Deleted, Shape


class Staying(Shape):
    """Something that a deletion leaves."""

    what: Literal["photo", "label"]
    why: Annotated[str, Field(description="Words for the person who asked for the deletion")]
    snapshots: Annotated[
        list[str], Field(description="Hashes of the frozen snapshots that hold it; empty: another reason")
    ]


class DeletedAnswer(Deleted):
    """An answer that is gone, with its photo and all that was said of it, but for what `kept` lists."""

    kept: list[Staying]
