"""The shapes of what people say of answers: checks what comes in, documents what goes out. Holds no rule."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from leafloop.api.schemas import NO_NUL, ONE_LINE, Box, Outcome, Shape, StoredWithAnswer
from leafloop.learning.boxes import MAX_BOXES
from leafloop.learning.words.word import MAX_COMMENT, RATINGS

Status = Literal["pending", "accepted", "overruled", "replaced", "withdrawn"]
SEVERAL_LINES = (
    r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"  # documents what `learning.words.word` refuses: control characters
)


def whole(value: object) -> object:
    """JSON knows one kind of number: 1.0 is as whole as 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


PredictionId = Annotated[str, Field(max_length=100, pattern=NO_NUL, description="Spaces around it do not matter")]
UserId = Annotated[
    str | None,
    Field(max_length=200, json_schema_extra={"pattern": ONE_LINE}, description="Who speaks; believed within the key"),
]
Comment = Annotated[str | None, Field(max_length=MAX_COMMENT, json_schema_extra={"pattern": SEVERAL_LINES})]
Rating = Annotated[
    Annotated[int, Field(ge=RATINGS[0], le=RATINGS[1], description="How sure the author is")] | None,
    BeforeValidator(whole),
]
ClassId = Annotated[Annotated[int, Field(ge=0, le=999)] | None, BeforeValidator(whole)]
ClassName = Annotated[str | None, Field(max_length=64, pattern=NO_NUL)]


class DrawnEdges(Box):
    """As a person drew them."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class DrawnBox(BaseModel):
    """A box that a person drew, in pixels of the upright photo; half a pixel outside is set to its edge."""

    model_config = ConfigDict(strict=True)

    class_name: ClassName = None
    class_id: ClassId = None
    bbox: DrawnEdges


class Submit(BaseModel):
    """A person's word on an answer. What corrects needs `is_correct: false`; a class may be named by name, by id, or by both."""

    model_config = ConfigDict(strict=True)

    prediction_id: PredictionId
    is_correct: Annotated[bool | None, Field(description="null: only asks, or only comments")] = None
    correct_class_name: ClassName = None
    correct_class_id: ClassId = None
    correct_outcome: Annotated[Outcome | None, Field(description="healthy: nothing is there; no_leaf: not a leaf")] = (
        None
    )
    corrected_boxes: Annotated[
        list[DrawnBox] | None, Field(max_length=MAX_BOXES, description="[]: nothing is there")
    ] = None
    ask_expert: Annotated[bool, Field(description="A reviewer will look, and reply on this answer")] = False
    user_comment: Comment = None
    confidence_rating: Rating = None
    user_id: UserId = None


class Undo(BaseModel):
    """Whose current word on which answer is taken back."""

    model_config = ConfigDict(strict=True)

    prediction_id: PredictionId
    user_id: UserId = None
    feedback_id: Annotated[
        PredictionId | None,
        Field(description="The word that is meant, as `submit` gave it: asking twice then takes one back, not two"),
    ] = None


class Submitted(Shape):
    success: Literal[True]
    feedback_id: str
    message: str
    status: Status


class Undone(Shape):
    """What counts now."""

    success: Literal[True]
    feedback_id: Annotated[str | None, Field(description="The word that counts again; null: none is left")]
    message: str
    status: Status | None


class ClassStatistics(Shape):
    total_predictions: int
    total_feedback: int
    correct: int
    incorrect: int
    accuracy: float | None


class Statistics(Shape):
    """Answers of the period and what people said of them: a count of claims. Words that a reviewer overruled are not in it."""

    period_days: int
    total_predictions: int
    total_feedback: Annotated[int, Field(description="Words that say right or wrong, and count")]
    correct_predictions: int
    incorrect_predictions: int
    overall_accuracy: Annotated[float | None, Field(description="null: nobody has said right or wrong yet")]
    accuracy_interval: Annotated[
        list[float] | None, Field(min_length=2, max_length=2, description="95 %, Clopper and Pearson's: [low, high]")
    ]
    feedback_rate: float
    class_statistics: Annotated[
        dict[str, ClassStatistics], Field(description="By class; answers that named none by their outcome")
    ]
    by_status: Annotated[dict[Status, int], Field(description="Every word on these answers")]


class KeptBox(Shape):
    class_id: int
    class_name: str
    bbox: Box


class StoredFeedback(Shape):
    """A word as it is kept: the older system's columns, and ours."""

    id: str
    prediction_id: str
    user_id: str | None
    is_correct: bool | None
    correct_class_id: int | None
    correct_class_name: str | None
    correct_outcome: Outcome | None
    corrected_boxes: list[KeptBox] | None
    ask_expert: bool
    user_comment: str | None
    confidence_rating: int | None
    feedback_source: Annotated[str, Field(description="The door it came by: api, page or cli")]
    timestamp: datetime
    status: Status
    replaces: Annotated[str | None, Field(description="The word of this author that it came in the place of")]
    processed_for_training: bool
    processed_at: datetime | None


class StoredFeedbackList(Shape):
    total: int
    limit: int
    offset: int
    items: list[StoredFeedback]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last one")]


class EditFeedback(BaseModel):
    """What may be set right of a word. Any other column of ours is answered with 409 and the reason."""

    # Others are let in to be told why they stay as they are; the document says what may be sent.
    model_config = ConfigDict(
        extra="allow", strict=True, json_schema_extra={"additionalProperties": False, "minProperties": 1}
    )

    user_comment: Comment = None
    confidence_rating: Rating = None


class ChangedFeedback(Shape):
    ok: Literal[True]
    feedback_id: str


class Reply(Shape):
    """What a reviewer found, for whoever asked."""

    outcome: Annotated[Outcome | None, Field(description="null: the photo could not be judged; `comment` says why")]
    class_name: str | None
    comment: str | None
    at: datetime


class StoredWithWords(StoredWithAnswer):
    """One answer as it is kept, with what was said of it and a reviewer's reply."""

    feedback: Annotated[
        list[StoredFeedback], Field(description="Words that count: for a reviewer everybody's, else this key's")
    ]
    reply: Reply | None


def as_word(said: Submit) -> dict[str, Any]:
    """The arguments of a `Word`."""
    boxes = said.corrected_boxes
    return {
        "is_correct": said.is_correct,
        "correct_class_name": said.correct_class_name,
        "correct_class_id": said.correct_class_id,
        "correct_outcome": said.correct_outcome,
        "corrected_boxes": None if boxes is None else tuple(box.model_dump() for box in boxes),
        "ask_expert": said.ask_expert,
        "comment": said.user_comment,
        "rating": said.confidence_rating,
    }
