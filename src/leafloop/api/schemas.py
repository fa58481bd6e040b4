"""The shapes of what is asked and answered: checks what comes in, documents what goes out. Holds no rule."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Outcome = Literal["diseased", "healthy", "uncertain", "no_leaf"]
Confidence = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"  # documents what `live.submission` refuses: control characters
NO_NUL = r"^[^\x00]*$"  # PostgreSQL takes none in a text


class Shape(BaseModel):
    """Every member is always there; a member that is not listed is a mistake of ours, and a test finds it."""

    model_config = ConfigDict(extra="forbid")


class Size(Shape):
    width: Annotated[int, Field(ge=1, description="Pixels of the upright photo")]
    height: Annotated[int, Field(ge=1)]


class Box(Shape):
    """Edges in pixels of the upright photo, from its top left corner."""

    x1: float
    y1: float
    x2: float
    y2: float


class DetectionShape(Shape):
    class_id: int
    class_name: str
    confidence: Confidence
    bbox: Box


class Warned(Shape):
    code: str
    message: Annotated[str, Field(description="Words for the person who took the photo")]


class Quality(Shape):
    sharpness: Annotated[float, Field(description="Measured at a fixed scale; higher is sharper")]
    brightness: Annotated[float, Field(description="Mean, 0 to 255")]
    leaf_fraction: Annotated[float, Field(ge=0, le=1, description="How much of the frame is leaf")]
    width: int
    height: int
    warnings: list[Warned]


class AnsweredBy(Shape):
    name: str
    version: str
    bundle: Annotated[str, Field(description="Hash of the model bundle")]


class Classification(Shape):
    """What was found, in one word, and how far it can be relied on."""

    success: bool
    prediction_id: str
    user_id: str | None
    image_size: Size
    class_id: Annotated[int | None, Field(description="null when the outcome is `uncertain` or `no_leaf`")]
    class_name: str | None
    confidence: Confidence | None
    reliable: Annotated[bool, Field(description="Whether the confidence reaches the model's own bar")]
    outcome: Outcome
    advice: Annotated[str | None, Field(description="What to do; withheld when the model is not sure")]
    quality: Quality
    model: AnsweredBy
    timings_ms: Annotated[dict[str, float], Field(description="decode, tile, infer, merge, store, total")]


class Prediction(Classification):
    """The whole answer, with every box."""

    detections: list[DetectionShape]


class Seen(Shape):
    class_name: str
    confidence: Confidence


class Debugging(Shape):
    """Everything above a low threshold, and the surest of each class."""

    user_id: str | None
    all_detections: list[DetectionShape]
    classes_detected: list[Seen]
    total_detections: int
    top_class: str | None
    top_confidence: Confidence | None


class StoredPrediction(Shape):
    """One answer as it is kept: the older system's columns, and ours."""

    id: str
    user_id: str | None
    user_location: str | None
    image_path: Annotated[str, Field(description="Where the photo can be had, for its owner and for reviewers")]
    image_size_kb: float
    image_width: int
    image_height: int
    image_hash: Annotated[Sha256, Field(description="Of the bytes received")]
    predicted_class_id: int | None
    predicted_class_name: str | None
    confidence: Confidence | None
    bbox_data: list[DetectionShape]
    model_version: str
    model_name: str
    inference_time_ms: float
    timestamp: datetime
    metadata: dict[str, Any] | None
    outcome: Outcome
    reliable: bool
    bundle_hash: str
    source: Annotated[str, Field(description="The door it came by: api, page or cli")]
    request_id: str | None


class StoredWithAnswer(StoredPrediction):
    """One answer as it is kept, with what was said of the photo and the body that was sent."""

    group: str | None
    captured_at: datetime | None
    consent: bool | None
    answer: dict[str, Any]


class StoredPredictions(Shape):
    total: int
    limit: int
    offset: int
    items: list[StoredPrediction]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last one")]


class Changed(Shape):
    ok: Literal[True]
    prediction_id: str


class Deleted(Shape):
    ok: Literal[True]
    deleted: str


class ModelInfo(Shape):
    """The model that answers now, and what it takes."""

    classes: Annotated[dict[str, str], Field(description="Class name by class id")]
    num_classes: int
    class_names: list[str]
    taxonomy: str
    model: AnsweredBy | None
    input: Annotated[
        dict[str, Any] | None, Field(description="Tile size, colour order, scaling; see docs/MODEL_SPEC.md")
    ]
    licence: str | None


class Champion(Shape):
    version: str
    name: str
    bundle: str
    since: datetime
    previous: str | None
    loaded: Annotated[bool, Field(description="Whether this process answers with it already")]


class ModelVersion(Shape):
    version: str
    name: str
    bundle: str
    created_at: datetime
    source: str | None
    licence: str | None
    aliases: list[str]
    metrics: dict[str, Any]


class Models(Shape):
    items: list[ModelVersion]


class InStage(Shape):
    version: str | None
    run_id: str | None


class MlopsStatus(Shape):
    """The older system's two stages; `production` is the champion."""

    model_name: str | None
    production: InStage
    staging: InStage


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# Older clients send a number.
Version = Annotated[
    str,
    BeforeValidator(_text, json_schema_input_type=str | int),
    Field(min_length=1, max_length=64, pattern=NO_NUL),
]
SOME_WORD = r"^[^\x00]*[^\x00\s][^\x00]*$"
Reason = Annotated[str, Field(min_length=1, max_length=1000, pattern=SOME_WORD, description="Kept in the audit log")]


class Promote(BaseModel):
    version: Version
    reason: Reason


class Rollback(BaseModel):
    """Back to `version`, or to the model that answered before."""

    version: Version | None = None
    reason: Reason | None = None
    model_name: Annotated[str | None, Field(description="Taken from older clients; there is one model name")] = None


class Moved(Shape):
    ok: Literal[True]
    message: str
    version: str
    previous: str | None


class Edit(BaseModel):
    """What a person may set right. Any other column of ours is answered with 409 and the reason."""

    # Others are let in to be told why they stay as they are; the document says what may be sent.
    model_config = ConfigDict(extra="allow", json_schema_extra={"additionalProperties": False, "minProperties": 1})

    user_location: Annotated[str | None, Field(max_length=200, json_schema_extra={"pattern": ONE_LINE})] = None
    consent: Annotated[bool | None, Field(strict=True, description="May the photo be trained on?")] = None
    metadata: dict[str, Any] | None = None


class Health(Shape):
    status: Literal["ok"]
    message: str


class PartState(Shape):
    state: Literal["up", "down"]
    detail: str


class Readiness(Shape):
    status: Literal["ready", "not_ready", "stopping"]
    database: PartState
    objects: PartState
    decoders: PartState
    model: PartState


class Root(Shape):
    message: str
    version: str
    endpoints: dict[str, str]


class ProblemDocument(BaseModel):
    """An error (RFC 9457). `code` is stable; `detail` says what, why, and what to do."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    request_id: str | None
