"""What a reviewer decides, in one form: what follows from it, and what contradicts itself. And the label that it makes."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session
from tests.learning.reviewed import (
    ACCEPT,
    ANA,
    EDGES,
    FOUND,
    HEALTHY,
    NO_LEAF,
    REJECT,
    SICK,
    SICKER,
    answered,
    box,
    decided,
    healthy,
    label_of,
    unclear,
    undone,
    waiting,
)
from tests.tiny_models import BANANA

from leafloop.errors import RequestInvalid
from leafloop.learning.labels import labelling as making
from leafloop.learning.review.opinions import Decision, opinion_of
from leafloop.storage import audit, labels
from leafloop.storage.tables import AuditEntry, Prediction, TrainingData


def made(session: Session, prediction: Prediction, decision: Decision) -> TrainingData | None:
    """The label that comes of a decision."""
    decided(session, ANA, waiting(session, prediction), decision)
    return label_of(session, prediction)


# What follows


@pytest.mark.parametrize(
    ("decision", "outcome", "class_name", "boxes"),
    [
        (ACCEPT, "diseased", SICK, 1),
        (Decision("correct", class_name=SICKER), "diseased", SICKER, None),
        (Decision("correct", boxes=[box()]), "diseased", SICKER, 1),
        (Decision("correct", boxes=[box(SICK), box()]), "diseased", SICKER, 2),  # a leaf is what its worst lesion is
        (Decision("correct", outcome="diseased", boxes=[box(SICK)]), "diseased", SICK, 1),
        (Decision("correct", class_name=SICK, boxes=[box(SICK), box()]), "diseased", SICK, 2),  # the reviewer says so
        (Decision("correct", outcome="healthy"), "healthy", HEALTHY, None),
        (Decision("correct", outcome="healthy", boxes=[]), "healthy", HEALTHY, 0),
        (Decision("correct", class_name=HEALTHY, boxes=[]), "healthy", HEALTHY, 0),
        (Decision("correct", class_name=HEALTHY, boxes=[box(HEALTHY)]), "healthy", HEALTHY, 1),
        (NO_LEAF, "no_leaf", None, 0),
        (Decision("correct", outcome="uncertain"), "uncertain", None, None),
        (REJECT, None, None, None),
        (Decision("skip"), None, None, None),
    ],
)
def test_an_opinion_is_what_was_said_and_what_follows_from_it(
    session: Session, decision: Decision, outcome: str, class_name: str, boxes: int | None
) -> None:
    found = opinion_of(BANANA, answered(session), decision)
    assert (found.outcome, found.class_name) == (outcome, class_name)
    assert found.class_id == (None if class_name is None else BANANA.id_of(class_name))
    assert (None if found.boxes is None else len(found.boxes)) == boxes


@pytest.mark.parametrize(
    ("decision", "why"),
    [
        (Decision("correct"), "what the photo shows"),
        (Decision("correct", boxes=[]), "No box at all can mean"),  # nothing found is never silently healthy
        (Decision("correct", outcome="diseased"), "which class"),
        (Decision("correct", class_name="Stage99"), "is not a class"),
        (Decision("correct", outcome="healthy", class_name=SICK), "not a class of the outcome"),
        (Decision("correct", outcome="diseased", class_name=HEALTHY), "not a class of the outcome"),
        (Decision("correct", class_name=SICK, boxes=[]), "something to draw"),
        (Decision("correct", class_name=SICK, boxes=[box()]), "No box has the class"),
        (Decision("correct", outcome="healthy", boxes=[box()]), "no box of a class"),
        (Decision("correct", outcome="no_leaf", boxes=[box()]), "neither a class nor boxes"),
        (Decision("correct", outcome="uncertain", class_name=SICK), "neither a class nor boxes"),
        (Decision("correct", boxes=[box(x2=6000.0)]), "outside the photo"),
        (Decision("correct", boxes=[box(x2=float("nan"))]), "finite"),
        (Decision("correct", boxes=[box(x2=100.0)]), "empty"),
    ],
)
def test_what_contradicts_itself_is_refused_with_what_contradicts_what(
    session: Session, decision: Decision, why: str
) -> None:
    with pytest.raises(RequestInvalid, match=why):
        opinion_of(BANANA, answered(session), decision)


def test_accepting_never_invents_boxes_and_never_takes_hints_for_part_of_a_healthy_answer(session: Session) -> None:
    assert opinion_of(BANANA, answered(session, bbox_data=[]), ACCEPT).boxes is None
    assert opinion_of(BANANA, healthy(session, bbox_data=[FOUND]), ACCEPT).boxes == []
    assert opinion_of(BANANA, unclear(session, "no_leaf", bbox_data=[FOUND]), ACCEPT).boxes == []
    assert opinion_of(BANANA, unclear(session, bbox_data=[FOUND]), ACCEPT).boxes is None


def test_an_answer_of_another_class_set_is_corrected_and_not_accepted(session: Session) -> None:
    old = answered(session, predicted_class_id=3, predicted_class_name="Wilted")
    with pytest.raises(RequestInvalid, match="Wilted"):
        opinion_of(BANANA, old, ACCEPT)


# Labels


@pytest.mark.parametrize(
    ("make", "decision", "strength", "outcome", "boxes"),
    [
        (answered, ACCEPT, "strong", "diseased", 1),
        (healthy, ACCEPT, "strong", "healthy", 0),
        (lambda s: unclear(s, "no_leaf"), ACCEPT, "strong", "no_leaf", 0),
        (answered, Decision("correct", class_name=SICKER), "weak", "diseased", None),
        (answered, Decision("correct", class_name=SICKER, boxes=[box()]), "strong", "diseased", 1),
        (answered, Decision("correct", outcome="healthy", boxes=[]), "strong", "healthy", 0),
        (answered, Decision("correct", outcome="healthy"), "weak", "healthy", None),
        (answered, NO_LEAF, "strong", "no_leaf", 0),
        (lambda s: answered(s, bbox_data=[]), ACCEPT, "weak", "diseased", None),
    ],
)
def test_a_label_is_strong_with_boxes_and_weak_without(
    session: Session, make: Any, decision: Decision, strength: str, outcome: str, boxes: int | None
) -> None:
    label = made(session, make(session), decision)
    assert label is not None
    assert (label.strength, label.outcome) == (strength, outcome)
    assert (None if label.bbox_data is None else len(label.bbox_data)) == boxes
    assert label.is_validated


@pytest.mark.parametrize("decision", [REJECT, Decision("correct", outcome="uncertain")])
def test_what_nobody_can_tell_makes_no_label(session: Session, decision: Decision) -> None:
    assert made(session, answered(session), decision) is None
    assert made(session, unclear(session), ACCEPT) is None


def test_a_label_says_whose_photo_it_is_who_said_so_and_how_good_the_photo_is(session: Session) -> None:
    prediction = answered(session)
    item = waiting(session, prediction)
    review = decided(session, ANA, item, ACCEPT)
    label = label_of(session, prediction)
    assert label is not None
    assert (label.source, label.source_id, label.feedback_ids) == ("feedback", review.id, [])
    assert (label.validated_by, label.key_id, label.user_id) == (ANA.identity, "phonefon", "maria")
    assert (label.photo_id, label.image_path, label.name) == (prediction.photo_id, prediction.image_path, "leaf.jpg")
    assert (label.group, label.width, label.height, label.revision) == ("plot 7", 640, 480, 1)
    assert (label.quality_score, label.blur_score, label.brightness_score) == (1.0, 250.0, 120.0)
    assert label.bbox_data == [{"class_id": 3, "class_name": SICK, "bbox": EDGES}]


@pytest.mark.parametrize(
    ("codes", "score"), [([], 1.0), (["small"], 0.5), (["blurred", "small"], 0.0), (["no_leaf"], 1.0)]
)
def test_the_quality_score_says_whether_a_leaf_can_be_judged_on_it(
    session: Session, codes: list[str], score: float
) -> None:
    warnings = [{"code": code, "message": "..."} for code in codes]
    label = made(session, answered(session, answer={"quality": {"warnings": warnings}}), ACCEPT)
    assert label is not None
    assert (label.quality_score, label.blur_score) == (score, None)


def test_the_same_bytes_again_make_a_new_revision_and_the_audit_log_has_what_was_said_before(session: Session) -> None:
    first, second = answered(session, "bytes"), answered(session, "bytes")
    made(session, first, ACCEPT)
    label = made(session, second, Decision("correct", class_name=SICKER))
    assert label is not None
    assert (label.revision, label.class_name, label.strength, label.bbox_data) == (2, SICKER, "weak", None)
    assert session.query(TrainingData).count() == 1
    entry = audit.newest_of(session, action="label.revise", subject=label.id)
    assert isinstance(entry, AuditEntry)
    assert entry.detail is not None
    assert (entry.detail["before"]["class_name"], entry.detail["before"]["bbox_data"]) == (
        SICK,
        [{"class_id": 3, "class_name": SICK, "bbox": EDGES}],
    )
    assert entry.actor == "key:anasanas"


def test_a_label_that_was_changed_by_hand_since_is_not_taken_back_by_an_undo(session: Session) -> None:
    prediction = answered(session)
    label = made(session, prediction, ACCEPT)
    assert label is not None
    making.revise(session, label, {"class_name": SICKER, "class_id": 5}, actor="test", why="by hand")
    undone(session, ANA)
    assert labels.get(session, label.id) is label
    assert label.class_name == SICKER
