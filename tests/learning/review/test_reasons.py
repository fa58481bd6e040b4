"""Why people's words bring an answer before a reviewer, and that a reason goes when it no longer holds."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session
from tests.learning.said import (
    HEALTHY,
    MARIA,
    NO_LEAF,
    NOTHING_THERE,
    OTHERS_MARIA,
    PEDRO,
    RIGHT,
    SICK,
    SICKER,
    SICKER_THAN_SAID,
    WRONG,
    an_answer,
    decide,
    item_of,
    reasons_of,
    say,
)

from leafloop.learning.review import worth
from leafloop.learning.review.reasons import EXPERT_WITHIN
from leafloop.learning.words import feedback
from leafloop.learning.words.feedback import Word
from leafloop.storage import words
from leafloop.storage.tables import Prediction, Review

ASK = Word(None, ask_expert=True)


def test_who_asks_an_expert_makes_a_review_item_with_a_day_by_which(session: Session, prediction: Prediction) -> None:
    word = say(session, prediction, MARIA, ASK)
    item = item_of(session, prediction)
    assert item is not None
    assert (reasons_of(session, prediction), item.due_at) == ({"asked": None}, word.timestamp + EXPERT_WITHIN)
    assert timedelta(days=2) == EXPERT_WITHIN
    say(session, prediction, PEDRO, RIGHT)
    feedback.undo(session, prediction, MARIA)
    assert (reasons_of(session, prediction), item.due_at) == ({"confirmation": None}, None)


def test_a_confirmation_and_a_correction_are_worth_different_minutes(session: Session, prediction: Prediction) -> None:
    say(session, prediction, MARIA, RIGHT)
    assert reasons_of(session, prediction) == {"confirmation": None}
    say(session, prediction, MARIA, SICKER_THAN_SAID)
    assert reasons_of(session, prediction) == {"correction": SICKER}
    item = item_of(session, prediction)
    assert item is not None
    assert item.priority == worth.WEIGHTS["correction"]


@pytest.mark.parametrize(
    ("one", "other", "contradict"),
    [
        (RIGHT, WRONG, True), (RIGHT, SICKER_THAN_SAID, True), (SICKER_THAN_SAID, NOTHING_THERE, True), (NO_LEAF, NOTHING_THERE, True),
        (WRONG, SICKER_THAN_SAID, False), (WRONG, NO_LEAF, False), (RIGHT, RIGHT, False), (WRONG, WRONG, False), (RIGHT, ASK, False),
        (NOTHING_THERE, Word(False, correct_class_name=HEALTHY), False), (Word(False, correct_outcome="diseased"), RIGHT, True),
        (Word(False, correct_outcome="diseased"), SICKER_THAN_SAID, False),
    ],
)  # fmt: skip
def test_two_people_contradict_each_other_where_both_cannot_be_true(
    session: Session, prediction: Prediction, one: Word, other: Word, contradict: bool
) -> None:
    say(session, prediction, MARIA, one)
    say(session, prediction, PEDRO, other)
    assert ("contradiction" in reasons_of(session, prediction)) == contradict
    feedback.undo(session, prediction, PEDRO)
    assert "contradiction" not in reasons_of(session, prediction)


def test_one_person_who_changes_his_mind_is_no_contradiction(session: Session, prediction: Prediction) -> None:
    say(session, prediction, MARIA, RIGHT)
    say(session, prediction, MARIA, NO_LEAF)
    assert set(reasons_of(session, prediction)) == {"correction"}


def test_a_comment_alone_needs_no_reviewer_and_a_withdrawn_word_leaves_the_queue(
    session: Session, prediction: Prediction
) -> None:
    say(session, prediction, MARIA, Word(None, comment="thank you"))
    assert item_of(session, prediction) is None
    say(session, prediction, PEDRO, WRONG)
    assert reasons_of(session, prediction) == {"correction": "not so"}
    feedback.undo(session, prediction, PEDRO)
    assert item_of(session, prediction) is None


def test_reasons_that_are_not_of_words_stay(session: Session, prediction: Prediction) -> None:
    worth.enqueue(session, prediction.id, [worth.Reason("random")])
    say(session, prediction, MARIA, WRONG)
    feedback.undo(session, prediction, MARIA)
    assert reasons_of(session, prediction) == {"random": None}


def test_a_photo_of_poor_quality_is_said_with_its_warnings(session: Session) -> None:
    poor = an_answer(session, answer={"quality": {"warnings": [{"code": "blurred"}, {"code": "too_dark"}]}})
    say(session, poor, MARIA, RIGHT)
    assert reasons_of(session, poor) == {"confirmation": None, "poor_photo": "blurred, too_dark"}


def test_an_author_who_was_overruled_comes_before_a_reviewer_and_a_new_one_does_not_for_that(session: Session) -> None:
    first, second = an_answer(session), an_answer(session)
    say(session, first, MARIA, WRONG)
    decide(session, first, SICK)
    say(session, second, MARIA, RIGHT)
    say(session, second, PEDRO, RIGHT)
    assert reasons_of(session, second) == {"confirmation": None, "low_trust": "0.03"}
    feedback.undo(session, second, MARIA)
    assert reasons_of(session, second) == {"confirmation": None}


def test_who_disputes_a_review_opens_it_again_and_who_agrees_does_not(session: Session, prediction: Prediction) -> None:
    say(session, prediction, MARIA, RIGHT)
    decide(session, prediction, SICK)
    item = item_of(session, prediction)
    assert item is not None
    say(session, prediction, PEDRO, RIGHT)
    assert item.state == "done"
    version = item.version
    say(session, prediction, OTHERS_MARIA, SICKER_THAN_SAID)
    assert (item.state, reasons_of(session, prediction)["disputes_review"]) == ("open", SICKER)
    feedback.undo(session, prediction, OTHERS_MARIA)
    assert (item.state, item.decided_at is not None) == ("done", True)
    assert item.version > version
    assert "disputes_review" not in reasons_of(session, prediction)


def test_what_was_reviewed_stays_when_every_word_is_taken_back(session: Session, prediction: Prediction) -> None:
    say(session, prediction, MARIA, RIGHT)
    review = decide(session, prediction, SICK)
    worth.drop_reasons(session, prediction.id, ["random"])
    say(session, prediction, PEDRO, NO_LEAF)
    feedback.undo(session, prediction, MARIA)
    feedback.undo(session, prediction, PEDRO)
    session.expire_all()
    assert session.get(Review, review.id) is not None
    item = item_of(session, prediction)
    assert item is not None
    assert item.state == "done"


def test_a_question_that_was_answered_no_longer_waits(session: Session, prediction: Prediction) -> None:
    say(session, prediction, MARIA, ASK)
    decide(session, prediction, SICK)
    say(session, prediction, PEDRO, SICKER_THAN_SAID)
    assert "asked" not in reasons_of(session, prediction)
    say(session, prediction, OTHERS_MARIA, ASK)
    assert "asked" in reasons_of(session, prediction)


def test_who_asks_after_a_settled_review_is_answered_by_the_next_one(session: Session, prediction: Prediction) -> None:
    decide(session, prediction, SICK)
    item = item_of(session, prediction)
    assert item is not None
    word = say(session, prediction, MARIA, ASK)
    assert (item.state, item.due_at) == ("open", word.timestamp + EXPERT_WITHIN)
    say(session, prediction, PEDRO, RIGHT)  # and nothing that others say closes it
    assert item.state == "open"
    second = decide(session, prediction, SICKER)
    assert words.reply(session, prediction.id) is second
    say(session, prediction, PEDRO, WRONG)
    assert (item.state, item.due_at, "asked" in reasons_of(session, prediction)) == ("done", None, False)


def test_who_no_longer_asks_leaves_what_was_settled_as_it_was(session: Session, prediction: Prediction) -> None:
    rejected = decide(session, prediction, None, decision="reject", outcome=None)
    item = item_of(session, prediction)
    assert item is not None
    item.state = "rejected"
    say(session, prediction, MARIA, ASK)
    assert item.state == "open"
    feedback.undo(session, prediction, MARIA)
    assert (item.state, item.decided_at) == ("rejected", rejected.created_at)


def test_a_photo_that_nobody_can_judge_is_a_reply_too(session: Session, prediction: Prediction) -> None:
    say(session, prediction, MARIA, ASK)
    rejected = decide(session, prediction, None, decision="reject", outcome=None)
    say(session, prediction, PEDRO, RIGHT)
    assert words.reply(session, prediction.id) is rejected
    assert "asked" not in reasons_of(session, prediction)


def test_who_was_answered_may_ask_again(session: Session, prediction: Prediction) -> None:
    first = say(session, prediction, MARIA, ASK)
    assert say(session, prediction, MARIA, ASK) is first
    decide(session, prediction, SICK)
    again = say(session, prediction, MARIA, ASK)
    assert (again is first, "asked" in reasons_of(session, prediction)) == (False, True)
