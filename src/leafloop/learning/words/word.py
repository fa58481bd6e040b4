"""What a person says of an answer, checked and brought into one form. Knows no row's history and keeps nothing.

right                    is_correct: true
wrong                    is_correct: false, alone
wrong, it is a class     ... with correct_class_name or correct_class_id; the outcome follows from the class
wrong, nothing is there  ... with correct_outcome: healthy, or corrected_boxes: []
not a leaf               ... with correct_outcome: no_leaf
wrong, here are boxes    ... with corrected_boxes; outcome and class follow from them, the most severe first
ask an expert            ask_expert: true, with or without any of these
a comment, how sure      user_comment, confidence_rating (1-5), with or without any of these
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import Any

from leafloop.errors import RequestInvalid
from leafloop.learning.boxes import check_boxes
from leafloop.learning.classes import find_class, outcome_of
from leafloop.storage.tables import Prediction
from leafloop.taxonomy import Taxonomy

OUTCOMES = ("diseased", "healthy", "uncertain", "no_leaf")
MAX_COMMENT = 2000  # characters: a page of text, which a person reads through
RATINGS = (1, 5)  # the older system's
_UNUSABLE = frozenset({"Cc", "Cs"})  # control characters and half surrogates: a database or a terminal chokes on them
_LAYOUT = frozenset("\n\t")  # what a text of several lines needs


@dataclass(frozen=True, slots=True)
class Author:
    """Whose word it is. A `user_id` is believed only within its key."""

    key_id: str | None
    user_id: str | None


@dataclass(frozen=True)
class Word:
    """What a person says. `corrected_boxes` None: none were drawn; empty: nothing is there. `source`: api, page or cli."""

    is_correct: bool | None
    correct_class_name: str | None = None
    correct_class_id: int | None = None
    correct_outcome: str | None = None
    corrected_boxes: tuple[dict[str, Any], ...] | None = None
    ask_expert: bool = False
    comment: str | None = None
    rating: int | None = None
    source: str = "api"


def kind_of(word: Word) -> str:
    """A word's kind, for counting: the most telling part of it."""
    if word.is_correct is not None:
        if word.is_correct:
            return "right"
        if word.corrected_boxes:
            return "boxes"
        if word.correct_outcome == "no_leaf":
            return "no_leaf"
        if word.correct_class_name is not None:
            return "class"
        return "nothing_there" if word.correct_outcome == "healthy" else "wrong"
    return "asked" if word.ask_expert else "comment"


def checked(word: Word, taxonomy: Taxonomy, prediction: Prediction) -> Word:
    """The word in its one form: texts trimmed, class by name and id, outcome said. Raises `RequestInvalid`."""
    said = replace(word, comment=checked_comment(word.comment), rating=checked_rating(word.rating))
    class_id = find_class(taxonomy, word.correct_class_name, word.correct_class_id, field="correct_class")
    boxes = _boxes(word, taxonomy, prediction)
    if word.correct_outcome is not None and word.correct_outcome not in OUTCOMES:
        raise RequestInvalid(f"correct_outcome is one of {', '.join(OUTCOMES)}.", field="correct_outcome")
    if word.is_correct is not False:
        _refuse_correction(word, class_id, prediction)
        said = replace(said, correct_class_name=None, correct_class_id=None, correct_outcome=None)
        if word.is_correct is None and not (word.ask_expert or said.comment or said.rating):
            raise RequestInvalid(
                "The word says nothing. Send is_correct, or ask_expert, or a comment.", field="is_correct"
            )
        return said
    class_id = _class_of_photo(class_id, boxes, taxonomy)
    said = replace(
        said,
        correct_class_id=class_id,
        correct_class_name=None if class_id is None else taxonomy.class_names[class_id],
        correct_outcome=_outcome(word.correct_outcome, class_id, boxes, taxonomy),
        corrected_boxes=boxes,
    )
    _refuse_the_same(said, prediction)
    return said


def checked_comment(text: str | None) -> str | None:
    """Trimmed, with plain line ends; an empty one says nothing. Raises `RequestInvalid`."""
    text = (text or "").replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(text) > MAX_COMMENT:
        raise RequestInvalid(f"user_comment has more than {MAX_COMMENT} characters.", field="user_comment")
    if any(unicodedata.category(c) in _UNUSABLE for c in text if c not in _LAYOUT):
        raise RequestInvalid("user_comment holds control characters.", field="user_comment")
    return text or None


def checked_rating(rating: int | None) -> int | None:
    """Raises `RequestInvalid`."""
    low, high = RATINGS
    if rating is not None and (isinstance(rating, bool) or not isinstance(rating, int) or not low <= rating <= high):
        raise RequestInvalid(f"confidence_rating is a whole number from {low} to {high}.", field="confidence_rating")
    return rating


def _boxes(word: Word, taxonomy: Taxonomy, prediction: Prediction) -> tuple[dict[str, Any], ...] | None:
    if word.corrected_boxes is None:
        return None
    width, height = prediction.image_width, prediction.image_height
    return tuple(check_boxes(word.corrected_boxes, taxonomy, width, height, field="corrected_boxes"))


def _refuse_correction(word: Word, class_id: int | None, prediction: Prediction) -> None:
    """Raise `RequestInvalid` where a word that does not say 'wrong' corrects. To repeat what the answer said is no correction."""
    repeats = word.is_correct is True
    same_class = class_id is None or (repeats and class_id == prediction.predicted_class_id)
    same_outcome = word.correct_outcome is None or (repeats and word.correct_outcome == prediction.outcome)
    if not (same_class and same_outcome and word.corrected_boxes is None):
        raise RequestInvalid(
            "The word contradicts itself: it corrects an answer that it does not call wrong. "
            "Send is_correct: false with a correction.",
            field="is_correct",
        )


def _class_of_photo(class_id: int | None, boxes: tuple[dict[str, Any], ...] | None, taxonomy: Taxonomy) -> int | None:
    """The class that is named, which one of the boxes has to be of; else, as in a verdict, the most severe of the boxes."""
    of_boxes = {box["class_id"] for box in boxes or ()}
    if class_id is None:
        return max(of_boxes, key=lambda i: (taxonomy.classes[i].severity, -i), default=None)
    if of_boxes and class_id not in of_boxes:
        raise RequestInvalid(
            f"The word contradicts itself: no box is of the class '{taxonomy.class_names[class_id]}' that it names.",
            field="corrected_boxes",
        )
    return class_id


def _outcome(
    said: str | None, class_id: int | None, boxes: tuple[dict[str, Any], ...] | None, taxonomy: Taxonomy
) -> str | None:
    """The outcome that class and boxes mean, with which one that is named has to agree."""
    if class_id is not None:
        means = outcome_of(taxonomy, class_id)
    elif boxes is not None:
        means = "no_leaf" if said == "no_leaf" else "healthy"  # in either case nothing is there
    else:
        return said
    lesions = boxes is not None and any(box["class_id"] not in taxonomy.healthy_ids for box in boxes)
    diseased_without = boxes is not None and not lesions and means == "diseased"
    healthy_with = lesions and means == "healthy"
    if said not in (None, means) or diseased_without or healthy_with:
        raise RequestInvalid(
            f"The word contradicts itself: its class or its boxes mean '{means}', and the rest of it says otherwise.",
            field="correct_outcome",
        )
    return means


def _refuse_the_same(said: Word, prediction: Prediction) -> None:
    """Raise `RequestInvalid` where 'wrong' comes with just what the answer said."""
    if said.correct_outcome != prediction.outcome:
        return
    if said.corrected_boxes is None:
        named = said.correct_class_id is not None or prediction.predicted_class_id is None
        same = said.correct_class_id == prediction.predicted_class_id if named else said.correct_outcome != "diseased"
    else:
        same = not said.corrected_boxes and not prediction.bbox_data
    if same:
        raise RequestInvalid(
            "The word contradicts itself: it calls the answer wrong and says the same. Send is_correct: true instead.",
            field="is_correct",
        )
