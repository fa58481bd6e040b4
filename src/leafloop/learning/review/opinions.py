"""What a reviewer decides becomes an opinion in one form: outcome, class, boxes. Never a class that was not said, nor a box.

A box list is a statement of its own: `[]` is "nothing is there, I looked", None is "a class, and no boxes were drawn".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from leafloop.errors import RequestInvalid
from leafloop.learning.boxes import check_boxes
from leafloop.learning.classes import find_class, outcome_of
from leafloop.learning.review import matching
from leafloop.storage.tables import Prediction, Review
from leafloop.taxonomy import Taxonomy

Box = dict[str, Any]
# Two opinions are one when more than half of their boxes find each other: people agree on which lesions there are long before
# they agree on where each of a hundred ends.
SAME_BOXES = 0.5


@dataclass(frozen=True)
class Decision:
    """What a reviewer says of a case. `outcome`, `class_name` and `boxes` are read for a correction alone.

    `seconds`: from the photo's being shown to the decision. `ask_second`: somebody else shall look, too.
    """

    decision: Literal["accept", "correct", "reject", "skip"]
    outcome: str | None = None
    class_name: str | None = None
    boxes: Sequence[Mapping[str, Any]] | None = None
    comment: str | None = None
    seconds: float | None = None
    ask_second: bool = False


@dataclass(frozen=True)
class Opinion:
    """What a photo shows, as one person sees it. A rejected photo shows nothing that can be used: all None."""

    outcome: str | None
    class_id: int | None
    class_name: str | None
    boxes: list[Box] | None


NOTHING = Opinion(None, None, None, None)


def opinion_of(taxonomy: Taxonomy, prediction: Prediction, decision: Decision) -> Opinion:
    """The opinion that a decision states. Raises `RequestInvalid`, saying what contradicts what."""
    if decision.decision == "accept":
        return _accepted(taxonomy, prediction)
    if decision.decision == "correct":
        return _corrected(taxonomy, prediction, decision)
    return NOTHING


def stated(review: Review) -> Opinion:
    """The opinion that a review holds."""
    return Opinion(review.outcome, review.class_id, review.class_name, review.boxes)


def same(first: Review, second: Review) -> bool:
    """Whether two reviewers say the same of a photo: kind of decision, outcome, class, and most of the boxes if both have them."""
    if (first.decision == "reject") != (second.decision == "reject"):
        return False
    if (first.outcome, first.class_id) != (second.outcome, second.class_id):
        return False
    if first.boxes is None or second.boxes is None:
        return True
    return matching.f1(first.boxes, second.boxes) >= SAME_BOXES


def _accepted(taxonomy: Taxonomy, prediction: Prediction) -> Opinion:
    """The answer as it is: its detections are the boxes. An answer that has none gets none."""
    if prediction.outcome == "uncertain":
        return Opinion("uncertain", None, None, None)
    if prediction.outcome == "no_leaf":
        return Opinion("no_leaf", None, None, [])
    class_id = find_class(taxonomy, prediction.predicted_class_name, prediction.predicted_class_id, field="answer")
    boxes = check_boxes(
        prediction.bbox_data, taxonomy, prediction.image_width, prediction.image_height, field="detections"
    )
    if prediction.outcome == "healthy":  # hints of lesions that were too weak to count are no part of the answer
        boxes = [box for box in boxes if box["class_id"] in taxonomy.healthy_ids]
        return _opinion(taxonomy, "healthy", class_id, boxes)
    return _opinion(taxonomy, "diseased", class_id, boxes or None)


def _corrected(taxonomy: Taxonomy, prediction: Prediction, decision: Decision) -> Opinion:
    boxes = decision.boxes
    checked = None if boxes is None else check_boxes(boxes, taxonomy, prediction.image_width, prediction.image_height)
    class_id = find_class(taxonomy, decision.class_name, None, field="class_name")
    return corrected(taxonomy, decision.outcome, class_id, checked)


def corrected(taxonomy: Taxonomy, outcome: str | None, class_id: int | None, boxes: list[Box] | None) -> Opinion:
    """An opinion of what was said of it, the rest made out where only one thing can be meant. Boxes are checked already.

    Raises `RequestInvalid` where nothing was said, or the parts contradict each other.
    """
    if class_id is None and boxes and outcome in (None, "diseased"):
        class_id = _most_advanced(taxonomy, boxes)
    if outcome is None and class_id is not None:
        outcome = outcome_of(taxonomy, class_id)
    if outcome is None:
        raise RequestInvalid(
            "Say what the photo shows: an outcome or a class. No box at all can mean a healthy leaf, and no leaf too.",
            field="outcome",
        )
    if outcome in ("uncertain", "no_leaf"):
        return _without_class(outcome, class_id, boxes)
    if outcome == "healthy" and class_id is None and taxonomy.healthy_ids:
        class_id = min(taxonomy.healthy_ids)
    if class_id is None:
        raise RequestInvalid("Say which class the photo shows, or draw its boxes.", field="class_name")
    if outcome_of(taxonomy, class_id) != outcome:
        raise RequestInvalid(
            f"'{taxonomy.class_names[class_id]}' is not a class of the outcome '{outcome}'.", field="class_name"
        )
    _refuse_contradictions(taxonomy, outcome, class_id, boxes)
    return _opinion(taxonomy, outcome, class_id, boxes)


def _without_class(outcome: str, class_id: int | None, boxes: list[Box] | None) -> Opinion:
    if class_id is not None or boxes:
        raise RequestInvalid(f"A photo that is '{outcome}' has neither a class nor boxes.", field="outcome")
    return Opinion(outcome, None, None, [] if outcome == "no_leaf" else None)


def _refuse_contradictions(taxonomy: Taxonomy, outcome: str, class_id: int, boxes: list[Box] | None) -> None:
    if boxes is None:
        return
    if outcome == "diseased" and not boxes:
        raise RequestInvalid(
            "A diseased leaf has something to draw a box around. Leave boxes out to say the class alone.", field="boxes"
        )
    if outcome == "diseased" and all(box["class_id"] != class_id for box in boxes):
        raise RequestInvalid(f"No box has the class '{taxonomy.class_names[class_id]}'.", field="boxes")
    if outcome == "healthy" and any(box["class_id"] not in taxonomy.healthy_ids for box in boxes):
        raise RequestInvalid("A healthy leaf has no box of a class that is not healthy.", field="boxes")


def _most_advanced(taxonomy: Taxonomy, boxes: Sequence[Box]) -> int:
    """A leaf is scored by its most advanced lesion, as `vision.verdict` does."""
    return max((int(box["class_id"]) for box in boxes), key=lambda i: (taxonomy.classes[i].severity, -i))


def _opinion(taxonomy: Taxonomy, outcome: str, class_id: int | None, boxes: list[Box] | None) -> Opinion:
    return Opinion(outcome, class_id, None if class_id is None else taxonomy.class_names[class_id], boxes)
