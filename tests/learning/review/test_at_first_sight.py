"""Which answers come before a reviewer by themselves."""

from __future__ import annotations

from sqlalchemy.orm import Session
from tests.learning.reviewed import SICK, SICKER, answered, healthy, unclear
from tests.learning.said import reasons_of

from leafloop.learning.review import at_first_sight, worth
from leafloop.storage.tables import Prediction, TrainingData


def queued(session: Session, prediction: Prediction, share: float = 0.0) -> dict[str, str | None]:
    at_first_sight.queue(session, prediction, reliable=0.5, random_share=share)
    return reasons_of(session, prediction)


def common(session: Session, class_name: str, number: int) -> None:
    """So many labels of a class."""
    for i in range(number):
        session.add(
            TrainingData(
                image_hash=f"{class_name}{i}", image_path="x", source="x", class_name=class_name, is_validated=True
            )
        )
    session.flush()


def test_what_the_model_is_unsure_of_is_queued(session: Session) -> None:
    common(session, SICK, at_first_sight.ENOUGH_LABELS)
    assert queued(session, unclear(session, confidence=0.2)) == {"uncertain": "0.20"}
    assert queued(session, answered(session, confidence=0.6)) == {"uncertain": "0.60"}
    assert queued(session, answered(session, confidence=0.4)) == {"uncertain": "0.40"}
    assert queued(session, healthy(session, confidence=0.55)) == {"uncertain": "0.55"}
    assert queued(session, answered(session, confidence=0.61)) == {}
    assert queued(session, healthy(session, confidence=0.9)) == {}


def test_a_class_is_rare_until_there_are_enough_labels_that_count(session: Session) -> None:
    sicker = {"predicted_class_name": SICKER, "predicted_class_id": 5}
    common(session, SICKER, at_first_sight.ENOUGH_LABELS - 1)
    session.add(TrainingData(image_hash="not", image_path="x", source="x", class_name=SICKER, is_validated=False))
    session.flush()
    assert queued(session, answered(session, confidence=0.9, **sicker)) == {"rare_class": SICKER}
    session.add(TrainingData(image_hash="last", image_path="x", source="x", class_name=SICKER, is_validated=True))
    session.flush()
    assert queued(session, answered(session, confidence=0.9, **sicker)) == {}
    assert queued(session, healthy(session, confidence=0.9)) == {}  # only what is sick is rare


def test_a_photo_without_a_leaf_comes_by_chance_alone(session: Session) -> None:
    assert queued(session, unclear(session, "no_leaf", confidence=0.5)) == {}
    assert queued(session, unclear(session, "no_leaf", confidence=0.5), share=1.0) == {"random": None}


def test_the_random_share_is_a_share_of_all_answers_and_always_the_same(session: Session) -> None:
    drawn = [healthy(session, confidence=0.9) for _ in range(200)]
    for prediction in drawn:
        at_first_sight.queue(session, prediction, reliable=0.5, random_share=0.3)
    random = [prediction for prediction in drawn if reasons_of(session, prediction)]
    assert 35 < len(random) < 85  # 60, and nearly four times its standard deviation
    assert random == [prediction for prediction in drawn if worth.chance("random", prediction.id) < 0.3]
