"""Trust in an author, and intervals of shares: the formulas, and what they are made of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy.stats import beta, binomtest
from sqlalchemy.orm import Session
from tests.learning.said import (
    MARIA,
    OTHERS_MARIA,
    PEDRO,
    RIGHT,
    SICK,
    SICKER,
    SICKER_THAN_SAID,
    an_answer,
    decide,
    item_of,
    reasons_of,
    say,
    take_back,
)

from leafloop.learning.intervals import share_interval
from leafloop.learning.words import feedback
from leafloop.learning.words.feedback import Author, Word
from leafloop.learning.words.trust import LOW_TRUST, lowest_trust, trust, trust_of
from leafloop.storage.tables import Prediction


@pytest.mark.parametrize(("accepted", "overruled"), [(0, 0), (1, 0), (10, 0), (10, 1), (0, 5), (1000, 30)])
def test_trust_is_the_lower_quantile_of_the_posterior(accepted: int, overruled: int) -> None:
    assert trust(accepted, overruled) == pytest.approx(beta.ppf(0.05, 1 + accepted, 1 + overruled))


def test_trust_grows_with_what_holds_and_falls_with_what_was_overruled() -> None:
    assert trust(0, 0) == pytest.approx(0.05)
    assert trust(0, 1) < trust(0, 0) < trust(1, 1) < trust(1, 0) < trust(10, 1) < trust(10, 0) < 1
    assert trust(5, 1) < LOW_TRUST < trust(6, 1)  # six that hold make one good that did not


def test_an_authors_trust_is_made_of_words_that_reviews_judged(session: Session) -> None:
    for _ in range(3):
        prediction = an_answer(session)
        say(session, prediction, MARIA, RIGHT)
        say(session, prediction, PEDRO, SICKER_THAN_SAID)
        review = decide(session, prediction, SICK)
    assert trust_of(session, MARIA) == trust(3, 0)
    assert trust_of(session, PEDRO) == trust(0, 3)
    assert trust_of(session, OTHERS_MARIA) == trust(0, 0)  # the same name within another key is somebody else
    take_back(session, prediction, review)
    assert trust_of(session, PEDRO) == trust(0, 2)


def test_questions_and_comments_earn_no_trust(session: Session) -> None:
    prediction = an_answer(session)
    say(session, prediction, MARIA, Word(None, ask_expert=True))
    decide(session, prediction, SICK)
    assert trust_of(session, MARIA) == trust(0, 0)


def test_to_be_new_is_no_reason_for_mistrust(session: Session) -> None:
    prediction = an_answer(session)
    assert lowest_trust(session, [MARIA]) is None
    say(session, prediction, MARIA, SICKER_THAN_SAID)
    decide(session, prediction, SICK)
    say(session, an_answer(session), PEDRO, RIGHT)
    assert lowest_trust(session, [PEDRO, OTHERS_MARIA]) is None
    assert lowest_trust(session, [PEDRO, MARIA, Author(None, None), Author("aaaaaaaa", None)]) == trust(0, 1)


def test_an_interval_holds_the_share_and_narrows_with_counts() -> None:
    assert share_interval(8, 10) == pytest.approx(
        (0.4439, 0.9748), abs=1e-4
    )  # as tables of Clopper and Pearson's have it
    for hits, of in ((0, 7), (1, 3), (45, 50), (999, 1000)):
        exact = binomtest(hits, of).proportion_ci(0.95, method="exact")
        assert share_interval(hits, of) == pytest.approx((exact.low, exact.high))
    assert share_interval(0, 0) is None
    low, high = share_interval(800, 1000) or (0, 0)
    assert 0.77 < low < 0.8 < high < 0.83
    assert (share_interval(0, 20) or (1, 0))[0] == 0
    assert (share_interval(20, 20) or (0, 0))[1] == 1


# Nothing that is said after a review changes what it made of a claim


def _remarked(session: Session, prediction: Prediction, author: Author, word: Word) -> None:
    say(session, prediction, author, replace(word, comment="thank you"))


@pytest.mark.parametrize("then", ["a remark", "an undo", "both", "another word"])
def test_an_author_who_was_overruled_is_not_cleared_by_what_he_does_later(session: Session, then: str) -> None:
    answers = [an_answer(session) for _ in range(5)]
    for prediction in answers:
        say(session, prediction, MARIA, SICKER_THAN_SAID)
        decide(session, prediction, SICK)
    low = trust_of(session, MARIA)
    assert (low, lowest_trust(session, [MARIA])) == (trust(0, 5), trust(0, 5))
    for prediction in answers:
        if then in ("a remark", "both"):
            _remarked(session, prediction, MARIA, SICKER_THAN_SAID)
        if then in ("an undo", "both"):
            feedback.undo(session, prediction, MARIA)
        if then == "another word":
            say(session, prediction, MARIA, RIGHT)
    assert (trust_of(session, MARIA), lowest_trust(session, [MARIA])) == (low, low)
    for prediction in answers:
        item = item_of(session, prediction)
        assert item is not None
        assert (item.state, "disputes_review" in reasons_of(session, prediction)) == ("done", False)


def test_a_remark_on_an_accepted_word_takes_nothing_from_its_author(session: Session) -> None:
    prediction = an_answer(session)
    say(session, prediction, MARIA, replace(RIGHT, ask_expert=True))
    decide(session, prediction, SICK)
    _remarked(session, prediction, MARIA, RIGHT)
    now = feedback.current(session, prediction.id, MARIA)
    assert now is not None
    assert (now.status, now.user_comment, trust_of(session, MARIA)) == ("accepted", "thank you", trust(1, 0))


def test_a_claim_with_remarks_is_judged_once_by_whatever_review_stands(session: Session) -> None:
    prediction = an_answer(session)
    say(session, prediction, MARIA, RIGHT)
    _remarked(session, prediction, MARIA, RIGHT)
    decide(session, prediction, SICK)
    say(session, prediction, MARIA, replace(RIGHT, comment="and once more"))
    second = decide(session, prediction, SICKER)
    assert trust_of(session, MARIA) == trust(0, 1)
    take_back(session, prediction, second)
    assert trust_of(session, MARIA) == trust(1, 0)


def test_who_says_it_again_after_the_review_has_claimed_it_anew(session: Session) -> None:
    prediction = an_answer(session)
    say(session, prediction, MARIA, RIGHT)
    decide(session, prediction, SICKER)
    say(session, prediction, MARIA, SICKER_THAN_SAID)
    assert say(session, prediction, MARIA, RIGHT).status == "pending"
    assert reasons_of(session, prediction)["disputes_review"] == SICK
    assert trust_of(session, MARIA) == trust(0, 1)


def test_an_author_whose_trust_changes_has_the_rest_of_his_words_ranked_anew(session: Session) -> None:
    waiting, judged = an_answer(session), an_answer(session)
    say(session, waiting, MARIA, RIGHT)
    say(session, judged, MARIA, SICKER_THAN_SAID)
    review = decide(session, judged, SICK)
    assert reasons_of(session, waiting) == {"confirmation": None, "low_trust": "0.03"}
    take_back(session, judged, review)
    assert reasons_of(session, waiting) == {"confirmation": None}
