"""A form's fields become a word, and stored words become what a page shows; knows no HTTP and stores nothing.

A form says one thing at a time (it is right; it is that class; ask an expert; a remark), while a word is everything that its author
says now and replaces the one before it. So what is not said anew is taken over from the word that is current.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from leafloop.errors import RequestInvalid
from leafloop.learning.words import claims
from leafloop.learning.words.feedback import Word
from leafloop.learning.words.word import checked_comment
from leafloop.storage.tables import Feedback, Prediction, Review
from leafloop.taxonomy import Taxonomy
from leafloop.web.answers import ink_on
from leafloop.web.languages import language
from leafloop.web.words_contexts import ClassChoice, Reply, Said

KINDS = ("right", "class", "nothing", "no_leaf", "boxes", "expert", "remark")


@dataclass(frozen=True, slots=True)
class Sent:
    """What one form says, not judged yet. None: not in the form."""

    kind: str
    class_name: str | None = None
    boxes: tuple[dict[str, Any], ...] | None = None
    comment: str | None = None
    rating: int | None = None
    token: str = ""

    @property
    def fingerprint(self) -> str:
        """What makes two forms the same word."""
        told = [self.kind, self.class_name, self.boxes, self.comment, self.rating]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def read(form: Mapping[str, Any]) -> Sent:
    """A form as it came. Raises `RequestInvalid` for what is no word."""
    given = {
        name: str(form[name]).strip() for name in ("said", "class_name", "boxes", "comment", "rating") if name in form
    }
    kind = "class" if given.get("class_name") else given.get("said", "")
    if kind not in KINDS or (kind == "class" and not given.get("class_name")):
        raise RequestInvalid("The form does not say what is meant. Use the buttons below the answer.", field="said")
    if kind == "remark" and not given.get("comment") and given.get("rating", "") in ("", "0"):
        raise RequestInvalid("The remark is empty. Write one, or choose how sure you are.", field="comment")
    return Sent(
        kind=kind,
        class_name=given.get("class_name") if kind == "class" else None,
        boxes=_boxes(given.get("boxes", "")) if kind == "boxes" else None,
        comment=checked_comment(given.get("comment")),
        rating=_rating(given["rating"]) if "rating" in given else None,
        token=str(form.get("form_token", ""))[:64],
    )


def beside_photo(form: Mapping[str, Any]) -> Sent | None:
    """What the photo's own form says, before there is an answer to speak of. Raises `RequestInvalid` as the word would."""
    comment = checked_comment(str(form.get("comment", "")))
    if str(form.get("ask_expert", "")) == "true":
        return Sent("expert", comment=comment)
    return None if comment is None else Sent("remark", comment=comment)


def word(sent: Sent, prediction: Prediction, now: Feedback | None, reply: Review | None = None) -> Word:
    """Everything that the author says from now on. `now` is the author's current word; what `reply` answered is asked no more."""
    kept = Word(is_correct=None, source="page") if now is None else _of_row(now, reply)
    if sent.kind == "expert":
        return replace(kept, ask_expert=True, comment=sent.comment or kept.comment)
    if sent.kind == "remark":
        return replace(kept, comment=sent.comment or None, rating=sent.rating)
    plain = Word(
        is_correct=False, ask_expert=kept.ask_expert, comment=kept.comment, rating=kept.rating, source=kept.source
    )
    if sent.kind == "right" or _says_the_same(sent, prediction):
        return replace(plain, is_correct=True)
    if sent.kind == "class":
        return replace(plain, correct_class_name=sent.class_name)
    if sent.kind == "no_leaf":
        return replace(plain, correct_outcome="no_leaf")
    return replace(plain, corrected_boxes=sent.boxes or ())  # `nothing` is: no box


def said(row: Feedback, taxonomy: Taxonomy, reply: Review | None = None) -> Said:
    """A stored word, for the page; who was replied to waits no more, and may ask again."""
    return Said(
        kind=_kind(row),
        title=_title(row.correct_class_name, taxonomy),
        outcome=row.correct_outcome,
        boxes=len(row.corrected_boxes or ()),
        comment=row.user_comment,
        rating=row.confidence_rating,
        asks=_waits(row, reply),
        status=row.status,
        at=row.timestamp.isoformat(),
    )


def reply(row: Review, prediction: Prediction, taxonomy: Taxonomy) -> Reply:
    """A reviewer's decision, for who sent the photo. An outcome or class that it leaves open is the answer's own."""
    same = row.class_name in (None, prediction.predicted_class_name) and row.outcome in (None, prediction.outcome)
    agrees = row.decision == "accept" or same
    name, outcome = row.class_name, row.outcome
    if agrees and name is None and outcome in (None, prediction.outcome):
        name, outcome = prediction.predicted_class_name, prediction.outcome
    return Reply(
        kind="unclear" if row.decision == "reject" else "agrees" if agrees else "differs",
        title=_title(name, taxonomy),
        outcome=outcome,
        boxes=None if row.boxes is None else len(row.boxes),
        comment=row.comment,
        at=row.created_at.isoformat(),
    )


def choices(taxonomy: Taxonomy, answered: str | None) -> tuple[ClassChoice, ...]:
    """Every class, in the taxonomy's order."""
    return tuple(
        ClassChoice(c.name, str(i), taxonomy.title(i, language()), c.colour, ink_on(c.colour), c.name == answered)
        for i, c in enumerate(taxonomy.classes)
    )


def editor(prediction: Prediction, taxonomy: Taxonomy, drawn: Feedback | None) -> dict[str, Any]:
    """What boxes.js is given: the boxes that this person drew before, else the model's; and the class of a new one."""
    boxes = drawn.corrected_boxes if drawn is not None and drawn.corrected_boxes is not None else None
    known = frozenset(range(len(taxonomy.classes)))
    ill = next((i for i in range(len(taxonomy.classes)) if i not in taxonomy.healthy_ids), 0)
    answered = prediction.predicted_class_id
    return {
        "width": prediction.image_width,
        "height": prediction.image_height,
        "photo": f"/answers/{prediction.id}/photo",
        "start": answered if answered in known - taxonomy.healthy_ids else ill,
        "classes": [
            {
                "id": i,
                "name": c.name,
                "title": taxonomy.title(i, language()),
                "colour": c.colour,
                "ink": ink_on(c.colour),
                "key": str(i),
            }
            for i, c in enumerate(taxonomy.classes)
        ],
        "boxes": [
            {"class_id": box["class_id"], "bbox": box["bbox"]}
            for box in (prediction.bbox_data if boxes is None else boxes)
            if box["class_id"] in known
        ],
    }


def _says_the_same(sent: Sent, prediction: Prediction) -> bool:
    """Whether a correction is what the answer said: then it confirms, whatever button it came from."""
    if sent.kind == "class":
        return sent.class_name == prediction.predicted_class_name
    if sent.kind == "no_leaf":
        return prediction.outcome == "no_leaf"
    nothing = sent.kind == "nothing" or not sent.boxes
    if nothing:
        return prediction.outcome == "healthy" and not prediction.bbox_data
    drawn = [(box.get("class_id"), box.get("bbox")) for box in sent.boxes or ()]
    return drawn == [(box["class_id"], box["bbox"]) for box in prediction.bbox_data]


def _waits(row: Feedback, reply: Review | None) -> bool:
    return row.ask_expert and not claims.is_answered(row, reply)


def _of_row(row: Feedback, reply: Review | None) -> Word:
    return Word(
        is_correct=row.is_correct,
        correct_class_name=row.correct_class_name,
        correct_class_id=row.correct_class_id,
        correct_outcome=row.correct_outcome,
        corrected_boxes=None if row.corrected_boxes is None else tuple(row.corrected_boxes),
        ask_expert=_waits(row, reply),
        comment=row.user_comment,
        rating=row.confidence_rating,
        source="page",
    )


def _kind(row: Feedback) -> str:
    if row.is_correct:
        return "right"
    if row.corrected_boxes is not None:
        return "boxes" if row.corrected_boxes else "nothing"
    if row.correct_class_name is not None:
        return "class"
    if row.correct_outcome is not None:
        return "no_leaf" if row.correct_outcome == "no_leaf" else "outcome"
    return "remark" if row.is_correct is None else "wrong"


def _title(name: str | None, taxonomy: Taxonomy) -> str | None:
    """A class's words; one of an older class set keeps its name."""
    if name is None:
        return None
    return taxonomy.title(taxonomy.class_names.index(name), language()) if name in taxonomy.class_names else name


def _boxes(text: str) -> tuple[dict[str, Any], ...]:
    """Boxes as JSON. What they are worth, `learning.words.feedback` judges."""
    try:
        boxes = json.loads(text)
    except (ValueError, RecursionError):
        boxes = None
    if not isinstance(boxes, list) or not all(isinstance(box, dict) for box in boxes):
        raise RequestInvalid("boxes is not a JSON list of boxes. Draw them again.", field="boxes")
    return tuple(boxes)


def _rating(text: str) -> int | None:
    if text in ("", "0"):
        return None
    if text not in ("1", "2", "3", "4", "5"):
        raise RequestInvalid("rating is a whole number from 1 to 5.", field="rating")
    return int(text)
