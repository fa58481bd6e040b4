"""How far reviewers agree, against known values; and how often the model is right on what chance chose."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session
from tests.learning.reviewed import (
    ACCEPT,
    ANA,
    BEN,
    CLEO,
    REJECT,
    SICK,
    SICKER,
    SKIP,
    answered,
    box,
    decided,
    prediction_of,
    unclear,
    undone,
    waiting,
)

from leafloop.learning.intervals import share_interval
from leafloop.learning.review import matching, worth
from leafloop.learning.review.agreement import agreement, kappa, measured_accuracy
from leafloop.learning.review.opinions import Decision
from leafloop.storage.tables import now


def _pairs(table: list[list[int]]) -> list[tuple[str, str]]:
    return [(str(i), str(j)) for i, row in enumerate(table) for j, number in enumerate(row) for _ in range(number)]


def test_kappa_is_what_the_margins_and_the_diagonal_make_it() -> None:
    # By hand, of 200 subjects in three categories: observed agreement, and that by chance from the margins.
    agreeing = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]  # 140 / 200, and (120 * 100 + 60 * 60 + 20 * 40) / 200^2
    assert kappa(_pairs(agreeing)) == pytest.approx((0.70 - 0.41) / (1 - 0.41))
    opposed = [[50, 26, 24], [24, 4, 32], [6, 30, 4]]  # 58 / 200, and (100 * 80 + 60 * 60 + 40 * 60) / 200^2
    assert kappa(_pairs(opposed)) == pytest.approx((0.29 - 0.35) / (1 - 0.35))
    assert kappa(_pairs([[5, 0], [0, 5]])) == 1
    assert kappa(_pairs([[5, 5], [5, 5]])) == 0
    assert kappa([]) is None
    assert kappa([("a", "a")] * 9) is None  # with one answer only, chance agrees as well


def _checked(*boxes: dict) -> list[dict]:  # type: ignore[type-arg]
    return [{**one, "class_id": 3 if one["class_name"] == SICK else 5} for one in boxes]


def test_boxes_are_matched_one_to_one_by_overlap_and_class() -> None:
    a, b = _checked(box()), _checked(box(x2=190.0))
    assert matching.f1(a, b) == 1
    assert matching.f1(a, a * 2) == pytest.approx(2 / 3)  # one box finds one
    assert matching.f1(a, _checked(box(SICK))) == 0
    assert matching.f1(a, _checked(box(x1=150.0, x2=250.0))) == 0  # a third of the two
    assert (matching.f1([], []), matching.f1(a, []), matching.f1([], a)) == (1, 0, 0)
    # Whoever takes the best overlap first leaves one of these alone: the pairing has to be the one with most pairs.
    ours = _checked(box(x1=0.0, x2=100.0), box(x1=30.0, x2=130.0))
    theirs = _checked(box(x1=20.0, x2=120.0), box(x1=60.0, x2=160.0))
    assert matching.matched(ours, theirs) == 2


def test_agreement_counts_blind_second_opinions_and_each_reviewer_beside_what_holds(session: Session) -> None:
    for second in (ACCEPT, ACCEPT, Decision("correct", class_name=SICKER), REJECT):
        item = waiting(session)
        decided(session, ANA, item, Decision("accept", ask_second=True))
        decided(session, BEN, item, second)
        if item.state == "disputed":
            decided(session, CLEO, item, ACCEPT)
    decided(session, CLEO, waiting(session), REJECT)  # alone: nobody to compare with
    found = agreement(session)
    assert (found["pairs"], found["agreed"], found["box_f1"]) == (4, 2, 1.0)
    assert found["kappa"] == pytest.approx(0)  # Ana always says the same: chance agrees as often
    by_name = {one["reviewer"]: (one["compared"], one["agreed"]) for one in found["reviewers"]}
    assert by_name == {"Ana": (4, 4), "Ben": (2, 0)}


def test_nothing_is_said_of_agreement_where_there_is_none_to_measure(session: Session) -> None:
    assert agreement(session) == {"pairs": 0, "agreed": 0, "kappa": None, "box_f1": None, "reviewers": []}
    nothing = {"reviewed": 0, "abstained": 0, "skipped": 0, "correct": 0, "accuracy": None, "interval": None}
    assert measured_accuracy(session) == nothing


def test_measured_accuracy_is_of_the_random_share_alone_and_of_no_photo_that_came_before_its_turn(
    session: Session,
) -> None:
    wrong = Decision("correct", class_name=SICKER)
    for decision in (
        ACCEPT,
        ACCEPT,
        Decision("correct", class_name=SICK),
        wrong,
        Decision("correct", outcome="uncertain"),
        REJECT,
    ):
        decided(session, ANA, waiting(session, None, "random"), decision)
    decided(session, ANA, waiting(session, unclear(session), "random"), Decision("correct", class_name=SICK))
    decided(session, ANA, waiting(session, None, "uncertain"), wrong)  # not of the random share
    unseen = waiting(session, None, "random")
    unseen.created_at = now() + timedelta(seconds=1)
    early = waiting(session, None, "random", "asked")
    early.created_at = now() + timedelta(seconds=2)
    session.flush()
    decided(session, ANA, early, wrong)
    found = measured_accuracy(session)
    assert (found["reviewed"], found["abstained"], found["correct"], found["accuracy"]) == (5, 1, 3, 0.75)
    assert found["interval"] == share_interval(3, 4)
    decided(session, ANA, unseen, ACCEPT)
    assert measured_accuracy(session)["reviewed"] == 7


def test_one_photo_that_everybody_skips_does_not_hold_the_measure_up_and_is_told(session: Session) -> None:
    skipped = waiting(session, None, "random")
    skipped.created_at = now() - timedelta(days=1)
    session.flush()
    for _ in range(3):
        decided(session, ANA, waiting(session, None, "random"), ACCEPT)
    assert measured_accuracy(session)["reviewed"] == 0  # nobody has looked at it
    decided(session, ANA, skipped, SKIP)
    found = measured_accuracy(session)
    assert (found["reviewed"], found["skipped"], found["accuracy"]) == (3, 1, 1.0)
    undone(session, ANA)
    assert measured_accuracy(session)["reviewed"] == 0
    decided(session, ANA, skipped, Decision("correct", class_name=SICKER))
    found = measured_accuracy(session)
    assert (found["reviewed"], found["skipped"], found["accuracy"]) == (4, 0, 0.75)


def test_an_old_answer_that_somebody_disputes_counts_by_what_holds_and_holds_nobody_up(session: Session) -> None:
    items = [waiting(session, None, "random") for _ in range(4)]
    for item in items:
        decided(session, ANA, item, ACCEPT)
    oldest = prediction_of(session, items[0])
    worth.enqueue(session, oldest.id, [worth.Reason("disputes_review")])
    assert items[0].state == "open"
    found = measured_accuracy(session)
    assert (found["reviewed"], found["skipped"], found["correct"]) == (4, 0, 4)
    decided(session, BEN, items[0], Decision("correct", class_name=SICKER))
    assert measured_accuracy(session)["correct"] == 3


def test_an_answer_is_right_or_wrong_by_its_class(session: Session) -> None:
    prediction = answered(session, predicted_class_name=SICKER, predicted_class_id=5, bbox_data=[])
    decided(session, ANA, waiting(session, prediction, "random"), Decision("correct", class_name=SICK))
    assert measured_accuracy(session)["accuracy"] == 0
