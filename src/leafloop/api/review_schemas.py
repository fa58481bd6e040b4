"""The shapes of review: cases, decisions, agreement, doubtful labels. Holds no rule."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel

from leafloop.api.feedback_schemas import SEVERAL_LINES, ClassName, DrawnBox, whole
from leafloop.api.schemas import NO_NUL, Box, Confidence, DetectionShape, Outcome, Quality, Sha256, Shape
from leafloop.learning.boxes import MAX_BOXES
from leafloop.learning.review.worth import WEIGHTS
from leafloop.learning.words.word import MAX_COMMENT

ReviewState = Literal["open", "second", "disputed", "done", "rejected"]
DecisionName = Literal["accept", "correct", "reject", "skip"]
Strength = Literal["strong", "weak"]
ONE_REASON = f"^({'|'.join(WEIGHTS)})$"
ReasonCode = Annotated[str, Field(json_schema_extra={"enum": list(WEIGHTS)})]
Share = Annotated[float, Field(ge=0, le=1)]
Interval = Annotated[list[Share], Field(min_length=2, max_length=2, description="95 %, Wilson")]
MAX_SECONDS = 24 * 3600  # a photo left open over night is no measure of anything


class BoxSaid(Shape):
    """A box as a person drew it, or a label has it."""

    class_id: int
    class_name: str
    bbox: Box


class ReasonGiven(Shape):
    code: ReasonCode
    detail: Annotated[str | None, Field(description="Data for the code's words: a class, a number")]


class JudgedAnswer(Shape):
    """The answer that is reviewed."""

    id: str
    created_at: datetime
    width: Annotated[int, Field(ge=1, description="Pixels of the upright photo")]
    height: Annotated[int, Field(ge=1)]
    outcome: Outcome
    class_id: int | None
    class_name: str | None
    confidence: Confidence | None
    model_version: str
    user_id: str | None
    group: str | None
    quality: Quality | None


class SaidWord(Shape):
    """What a person said of the answer."""

    author: str | None
    is_correct: bool | None
    correct_class_name: str | None
    correct_outcome: Outcome | None
    corrected_boxes: list[BoxSaid] | None
    ask_expert: bool
    comment: str | None
    rating: int | None
    created_at: datetime


class OpinionGiven(Shape):
    """What a reviewer has said before. `boxes`: [] is "nothing is there, I looked", null is a class without boxes."""

    review_id: str
    reviewer: str | None
    decision: DecisionName
    outcome: Outcome | None
    class_id: int | None
    class_name: str | None
    boxes: list[BoxSaid] | None
    comment: str | None
    blind: bool
    created_at: datetime


class LookalikeFound(Shape):
    """A confirmed photo that looks alike."""

    label_id: str
    image_hash: Sha256
    class_name: str | None
    outcome: Outcome | None
    distance: Annotated[int, Field(ge=0, description="Bits in which the perceptual hashes differ")]


class CaseShown(Shape):
    """A photo that waits for an opinion, in this caller's hand until `leased_until`."""

    item_id: str
    version: Annotated[int, Field(ge=1, description="Send it back with the decision")]
    state: ReviewState
    reasons: list[ReasonGiven]
    due_at: datetime | None
    is_random: bool
    leased_until: datetime | None
    blind: Annotated[bool, Field(description="A second opinion: the first is there and is not shown")]
    prediction: JudgedAnswer
    detections: list[DetectionShape]
    words: list[SaidWord]
    opinions: list[OpinionGiven]
    lookalikes: list[LookalikeFound]
    remaining: Annotated[
        int, Field(ge=0, description="Cases that this caller could take, this one too; counted to 1000")
    ]


Comment = Annotated[
    str | None,
    Field(
        max_length=MAX_COMMENT,
        json_schema_extra={"pattern": SEVERAL_LINES},
        description="Goes back to the person who asked",
    ),
]


class _Decided(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: Annotated[Annotated[int, Field(ge=1, le=2**31 - 1)], BeforeValidator(whole)]
    comment: Comment = None
    seconds: Annotated[
        float | None,
        Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False, description="From the photo's being shown to the decision"),
    ] = None


class Accept(_Decided):
    """The answer is right as it is, with its boxes."""

    decision: Literal["accept"]
    ask_second: Annotated[bool, Field(description="Somebody else shall look, too")] = False


class Correct(_Decided):
    """The photo shows something else: an outcome, a class, boxes ([]: nothing is there), or some of these."""

    decision: Literal["correct"]
    outcome: Outcome | None = None
    class_name: ClassName = None
    boxes: Annotated[list[DrawnBox] | None, Field(max_length=MAX_BOXES)] = None
    ask_second: bool = False


class Reject(_Decided):
    """Nothing can be learnt from the photo."""

    decision: Literal["reject"]
    ask_second: bool = False


class Skip(_Decided):
    """Somebody else may know better."""

    decision: Literal["skip"]


class DecisionSent(RootModel[Accept | Correct | Reject | Skip]):
    root: Annotated[Accept | Correct | Reject | Skip, Field(discriminator="decision")]


class LabelMade(Shape):
    id: str
    strength: Strength
    revision: Annotated[int, Field(ge=1)]


class Decided(Shape):
    """What came of a decision. `label` is null where none was made or changed."""

    review_id: str
    item_id: str
    state: ReviewState
    version: int
    label: LabelMade | None


class UndoAsked(BaseModel):
    """Which decision is meant; without it the last one. With it, asking twice does not take two back."""

    model_config = ConfigDict(extra="forbid")

    review_id: Annotated[str | None, Field(max_length=36, pattern=NO_NUL)] = None


class Released(Shape):
    ok: Literal[True]
    item_id: str


class MeasuredAccuracy(Shape):
    """How often the answers of the random share held."""

    reviewed: int
    abstained: Annotated[int, Field(description="Answers that were `uncertain`: neither right nor wrong")]
    skipped: Annotated[
        int, Field(description="Looked at and left undecided, so not counted; they may be the harder ones")
    ]
    correct: int
    accuracy: Share | None
    interval: Interval | None


class QueueCounts(Shape):
    open: int
    second: int
    disputed: int
    done: int
    rejected: int
    waiting: Annotated[int, Field(description="open, second and disputed")]
    overdue: int
    accuracy: MeasuredAccuracy


class ReviewerAgreement(Shape):
    reviewer: str | None
    compared: int
    agreed: int
    interval: Interval | None
    box_f1: Share | None


class AgreementFound(Shape):
    """First opinions beside blind second ones."""

    pairs: int
    agreed: int
    kappa: Annotated[float | None, Field(ge=-1, le=1, description="Cohen 1960")]
    box_f1: Annotated[Share | None, Field(description="Boxes of one class matched at an overlap of 0.5")]
    reviewers: Annotated[list[ReviewerAgreement], Field(description="Each with what held in the end")]


class DoubtfulLabel(Shape):
    label_id: str
    revision: int
    item_id: Annotated[str | None, Field(description="The case to take for a second look, if there is one")]
    image_hash: Sha256
    class_name: str | None
    outcome: Outcome | None
    strength: Strength
    score: Annotated[float, Field(ge=0)]
    reasons: list[dict[str, Any]]


class DoubtfulLabels(Shape):
    items: list[DoubtfulLabel]
