"""A reviewer sets a label right by hand: what it says now and what was said become its next revision. Knows no queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from leafloop.errors import NotEditable, RequestInvalid
from leafloop.learning.boxes import check_boxes
from leafloop.learning.classes import find_class
from leafloop.learning.labels import labelling
from leafloop.learning.review import opinions
from leafloop.storage.reviews import Reviewer
from leafloop.storage.tables import TrainingData
from leafloop.taxonomy import Taxonomy

SAID = ("outcome", "class_name", "bbox_data")  # what a photo shows: one of these said, the others follow or stay


def correct(
    session: Session, taxonomy: Taxonomy, label: TrainingData, said: Mapping[str, Any], who: Reviewer
) -> labelling.Change:
    """Correct a label. `said`: any of `SAID`, `is_validated` and `group`.

    Raises `RequestInvalid` for what contradicts itself, `NotEditable` for a group by which a snapshot has chosen sides.
    """
    content: dict[str, Any] = {}
    if said.keys() & set(SAID):
        content |= _content(taxonomy, label, said)
    if said.get("is_validated") is not None:
        content["is_validated"] = said["is_validated"]
    if "group" in said:
        content["group"] = _group(label, said["group"])
    if not content:
        raise RequestInvalid("is_validated is true or false.", field="is_validated")
    looked = content.keys() != {"group"}
    content["validated_by"] = who.identity
    return labelling.revise(session, label, content, actor=who.actor, why="corrected by hand", looked=looked)


def _content(taxonomy: Taxonomy, label: TrainingData, said: Mapping[str, Any]) -> dict[str, Any]:
    class_id = find_class(taxonomy, said.get("class_name"), None, field="class_name")
    boxes = said["bbox_data"] if "bbox_data" in said else _boxes_that_still_hold(label, said.get("outcome"), class_id)
    if boxes is not None:
        boxes = check_boxes(boxes, taxonomy, *_size(label), field="bbox_data")
    outcome = said.get("outcome")
    if (
        class_id is None and not boxes and outcome in (None, label.outcome)
    ):  # boxes alone are said of the class that it has
        class_id, outcome = label.class_id, label.outcome
    opinion = opinions.corrected(taxonomy, outcome, class_id, boxes)
    if opinion.outcome == "uncertain" and said.get("is_validated"):
        raise RequestInvalid("A photo of which nobody can tell what it shows is not trained on.", field="is_validated")
    if opinion.outcome == "uncertain":  # what nobody can tell is not trained on; what was said stays to be read
        return {"is_validated": False}
    return {
        "is_validated": True,
        "outcome": opinion.outcome,
        "class_id": opinion.class_id,
        "class_name": opinion.class_name,
        "strength": labelling.strength_of(opinion.boxes),
        "bbox_data": opinion.boxes,
    }


def _boxes_that_still_hold(label: TrainingData, outcome: str | None, class_id: int | None) -> list[Any] | None:
    """Boxes that nobody spoke of: they hold where the class does, else the new one is said without any."""
    same = (outcome in (None, label.outcome)) and (class_id in (None, label.class_id))
    return label.bbox_data if same else None


def _size(label: TrainingData) -> tuple[int, int]:
    if label.width is None or label.height is None:
        raise RequestInvalid(
            "The size of this label's photo is not known, so no box can be checked.", field="bbox_data"
        )
    return label.width, label.height


def _group(label: TrainingData, group: str | None) -> str | None:
    if label.split_group is not None:
        raise NotEditable(
            "group cannot be changed. A snapshot has chosen the photo's side by it, and a photo never changes its side.",
            field="group",
        )
    return group
