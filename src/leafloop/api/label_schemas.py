"""The shapes of labels (`training_data`): as they are kept, and what a person may correct. Holds no rule."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from leafloop.api.feedback_schemas import ClassName, DrawnBox, whole
from leafloop.api.review_schemas import BoxSaid, Strength
from leafloop.api.schemas import ONE_LINE, Outcome, Sha256, Shape
from leafloop.learning.boxes import MAX_BOXES


class StoredLabel(Shape):
    """One label as it is kept: the older system's columns, and ours."""

    id: str
    image_path: Annotated[str, Field(description="Where the photo can be had")]
    image_hash: Annotated[Sha256, Field(description="Of the bytes received")]
    class_id: int | None
    class_name: str | None
    bbox_data: Annotated[
        list[BoxSaid] | None, Field(description="[]: nothing is there, somebody looked; null: a class without boxes")
    ]
    source: Annotated[str, Field(description="`feedback`, or an import's name")]
    source_id: Annotated[str | None, Field(description="The review, or the import")]
    quality_score: float | None
    blur_score: float | None
    brightness_score: float | None
    is_validated: Annotated[bool, Field(description="Only then it may be trained on")]
    validated_by: str | None
    validated_at: datetime | None
    dataset_split: str | None
    added_date: datetime
    metadata: dict[str, Any] | None
    outcome: Outcome | None
    strength: Strength
    feedback_ids: list[str] | None
    name: str | None
    width: int | None
    height: int | None
    user_id: str | None
    group: str | None
    may_test: bool
    revision: int


class StoredLabels(Shape):
    total: int
    limit: int
    offset: int
    items: list[StoredLabel]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last one")]


class LabelChanged(Shape):
    ok: Literal[True]
    id: str


def _what_may_be_sent(schema: dict[str, Any]) -> None:
    """No other column, and one at least that changes something: a revision alone does not."""
    schema["additionalProperties"] = False
    schema["anyOf"] = [{"required": [name]} for name in schema["properties"] if name != "revision"]


class LabelEdit(BaseModel):
    """What a reviewer may set right, as a new revision. Any other column of ours is answered with 409 and the reason."""

    # Others are let in to be told why they stay as they are; the document says what may be sent.
    model_config = ConfigDict(extra="allow", json_schema_extra=_what_may_be_sent)

    outcome: Annotated[Outcome | None, Field(description="Follows from a class that is given")] = None
    class_name: ClassName = None
    bbox_data: Annotated[
        list[DrawnBox] | None, Field(max_length=MAX_BOXES, description="[]: nothing is there; null: a class, no boxes")
    ] = None
    is_validated: Annotated[bool, Field(strict=True, description="false: do not train on it")] = True
    revision: Annotated[
        Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)] | None,
        BeforeValidator(whole),
        Field(description="The one that is corrected; 409 `label_conflict` if there is a later"),
    ] = None
    group: Annotated[
        str | None,
        Field(
            max_length=200,
            json_schema_extra={"pattern": ONE_LINE},
            description="Plant, plot or session; until a snapshot uses it",
        ),
    ] = None
