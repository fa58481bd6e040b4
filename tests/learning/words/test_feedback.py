"""What people say of answers: kept as it was said, replaced, taken back, judged; and its status is always what its history makes it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests.learning.said import (
    BOX,
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
    say,
    take_back,
    tried_out,
)
from tests.tiny_models import BANANA

from leafloop.errors import NotFound, RequestInvalid
from leafloop.learning.review import worth
from leafloop.learning.words import feedback, tally
from leafloop.learning.words.feedback import Author, Word
from leafloop.storage import audit, predictions, words
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Feedback, Prediction, Review


def statuses(session: Session, prediction: Prediction) -> list[str]:
    rows = session.scalars(select(Feedback).where(Feedback.prediction_id == prediction.id).order_by(Feedback.timestamp))
    return [row.status for row in rows]


# What is said


@pytest.mark.parametrize(
    ("word", "outcome", "class_name", "boxes"),
    [
        (RIGHT, None, None, None),
        (WRONG, None, None, None),
        (SICKER_THAN_SAID, "diseased", SICKER, None),
        (Word(False, correct_class_id=5), "diseased", SICKER, None),
        (Word(False, correct_class_id=5, correct_class_name=SICKER, correct_outcome="diseased"), "diseased", SICKER, None),
        (Word(False, correct_class_name=HEALTHY), "healthy", HEALTHY, None),
        (NOTHING_THERE, "healthy", None, None),
        (Word(False, corrected_boxes=()), "healthy", None, []),
        (NO_LEAF, "no_leaf", None, None),
        (Word(False, correct_outcome="no_leaf", corrected_boxes=()), "no_leaf", None, []),
        (Word(False, correct_outcome="uncertain"), "uncertain", None, None),
        (Word(False, correct_outcome="diseased"), "diseased", None, None),  # sick, but not of that stage
        (Word(False, corrected_boxes=(BOX,)), "diseased", SICKER, 1),
        (Word(False, corrected_boxes=(BOX, {**BOX, "class_name": SICK})), "diseased", SICKER, 2),  # the most severe first
        (Word(False, corrected_boxes=({**BOX, "class_name": SICK},)), "diseased", SICK, 1),  # the stage was right, the places not
        (Word(True, correct_class_name=SICK, correct_outcome="diseased"), None, None, None),  # as older clients say "right"
    ],
)  # fmt: skip
def test_each_kind_of_word_is_kept_with_what_follows_from_it(
    session: Session, prediction: Prediction, word: Word, outcome: str | None, class_name: str | None, boxes: Any
) -> None:
    row = say(session, prediction, MARIA, word)
    assert (row.is_correct, row.correct_outcome, row.correct_class_name) == (word.is_correct, outcome, class_name)
    assert row.correct_class_id == (None if class_name is None else BANANA.id_of(class_name))
    assert (len(row.corrected_boxes) if row.corrected_boxes else row.corrected_boxes) == boxes
    assert (row.status, row.replaces, row.key_id, row.user_id) == ("pending", None, *("aaaaaaaa", "maria"))


def test_a_comment_a_rating_and_a_question_need_no_judgement(session: Session, prediction: Prediction) -> None:
    row = say(session, prediction, MARIA, Word(None, ask_expert=True, comment=" why?\r\nIt looks\tfine ", rating=4))
    assert (row.is_correct, row.ask_expert, row.user_comment) == (None, True, "why?\nIt looks\tfine")
    assert row.confidence_rating == 4
    assert say(session, prediction, PEDRO, Word(None, comment="hm")).user_comment == "hm"


@pytest.mark.parametrize(
    ("word", "why"),
    [
        (Word(None), "says nothing"), (Word(None, comment="  "), "says nothing"),
        (Word(True, correct_class_name=SICKER), "contradicts"), (Word(True, correct_outcome="healthy"), "contradicts"),
        (Word(True, corrected_boxes=(BOX,)), "contradicts"), (Word(True, corrected_boxes=()), "contradicts"),
        (Word(None, correct_class_name=SICKER, ask_expert=True), "contradicts"),
        (Word(False, correct_class_name=SICK), "says the same"), (Word(False, correct_class_name=SICK, ask_expert=True), "says the same"),
        (Word(False, correct_class_name=SICKER, correct_outcome="healthy"), "contradicts"),
        (Word(False, correct_class_name=HEALTHY, correct_outcome="diseased"), "contradicts"),
        (Word(False, correct_class_name=SICKER, correct_outcome="no_leaf"), "contradicts"),
        (Word(False, correct_class_name=SICKER, corrected_boxes=()), "contradicts"),
        (Word(False, correct_class_name=HEALTHY, corrected_boxes=(BOX,)), "contradicts"),
        (Word(False, correct_class_name=SICK, corrected_boxes=(BOX,)), "no box is of the class"),
        (Word(False, correct_outcome="no_leaf", corrected_boxes=(BOX,)), "contradicts"),
        (Word(False, correct_outcome="healthy", corrected_boxes=(BOX,)), "contradicts"),
        (Word(False, correct_outcome="uncertain", corrected_boxes=()), "contradicts"),
        (Word(False, correct_outcome="diseased", corrected_boxes=()), "contradicts"),
        (Word(False, correct_class_name="Stage99"), "not a class"), (Word(False, correct_class_id=99), "not a class"),
        (Word(False, correct_class_id=5, correct_class_name=SICK), "two classes"), (Word(False, correct_outcome="sick"), "one of"),
        (Word(False, corrected_boxes=(BOX, {**BOX, "bbox": {"x1": 600, "y1": 0, "x2": 700, "y2": 9}})), r"corrected_boxes\[1\]"),
        (Word(True, comment="x" * 2001), "2000"), (Word(True, comment="a\x00b"), "control"), (Word(True, comment="a\x1b[2J"), "control"),
        (Word(True, rating=0), "1 to 5"), (Word(True, rating=6), "1 to 5"), (Word(True, rating=True), "1 to 5"),
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_meant_is_refused_and_nothing_of_it_is_kept(
    session: Session, prediction: Prediction, word: Word, why: str
) -> None:
    with pytest.raises(RequestInvalid, match=why):
        say(session, prediction, MARIA, word)
    assert statuses(session, prediction) == []
    assert item_of(session, prediction) is None


def test_saying_wrong_and_the_same_is_refused_whatever_the_answer_was(session: Session) -> None:
    healthy = an_answer(session, outcome="healthy", predicted_class_id=0, predicted_class_name=HEALTHY, bbox_data=[])
    for word in (NOTHING_THERE, Word(False, corrected_boxes=()), Word(False, correct_class_name=HEALTHY)):
        with pytest.raises(RequestInvalid, match="says the same"):
            say(session, healthy, MARIA, word)
    uncertain = an_answer(
        session, outcome="uncertain", predicted_class_id=None, predicted_class_name=None, bbox_data=[]
    )
    with pytest.raises(RequestInvalid, match="says the same"):
        say(session, uncertain, MARIA, Word(False, correct_outcome="uncertain"))
    assert say(session, uncertain, MARIA, NOTHING_THERE).correct_outcome == "healthy"


def test_a_photo_on_which_nothing_was_found_can_be_spoken_of(session: Session) -> None:
    """features.md 1C, row 4: there, a photo without a detection was never stored, so no feedback on it was possible."""
    nothing = an_answer(session, outcome="uncertain", predicted_class_id=None, predicted_class_name=None, bbox_data=[])
    missed = say(session, nothing, MARIA, Word(False, corrected_boxes=(BOX,)))
    assert (missed.correct_outcome, missed.correct_class_name) == ("diseased", SICKER)
    assert item_of(session, nothing) is not None


# What becomes of it


def test_a_second_word_by_the_same_author_replaces_the_first_which_stays(
    session: Session, prediction: Prediction
) -> None:
    first, second = say(session, prediction, MARIA, RIGHT), say(session, prediction, MARIA, NO_LEAF)
    assert (first.status, second.status, second.replaces) == ("replaced", "pending", first.id)
    assert feedback.current(session, prediction.id, MARIA) is second


def test_the_same_word_again_is_the_same_row(session: Session, prediction: Prediction) -> None:
    first = say(session, prediction, MARIA, Word(False, corrected_boxes=(BOX,), comment="here"))
    assert (
        say(session, prediction, MARIA, Word(False, corrected_boxes=(BOX,), comment=" here ", source="page")) is first
    )
    assert statuses(session, prediction) == ["pending"]
    other = say(session, prediction, MARIA, RIGHT)
    again = say(session, prediction, MARIA, Word(False, corrected_boxes=(BOX,), comment="here"))  # no longer current
    assert len({first.id, other.id, again.id}) == 3


def test_an_author_is_a_person_within_a_key(session: Session, prediction: Prediction) -> None:
    for author in (MARIA, PEDRO, OTHERS_MARIA, Author("aaaaaaaa", None), Author(None, "maria"), Author(None, None)):
        say(session, prediction, author, RIGHT)
    assert statuses(session, prediction) == ["pending"] * 6
    assert len(feedback.words_of(session, prediction.id)) == 6


def test_undo_makes_the_word_before_it_count_again(session: Session, prediction: Prediction) -> None:
    first, second = say(session, prediction, MARIA, RIGHT), say(session, prediction, MARIA, WRONG)
    assert feedback.undo(session, prediction, MARIA) is first
    assert (first.status, second.status) == ("pending", "withdrawn")
    third = say(session, prediction, MARIA, NO_LEAF)
    assert third.replaces == first.id
    assert feedback.undo(session, prediction, MARIA) is first
    assert feedback.undo(session, prediction, MARIA) is None
    assert statuses(session, prediction) == ["withdrawn"] * 3
    with pytest.raises(NotFound, match="take back"):
        feedback.undo(session, prediction, MARIA)
    assert [entry.action for entry in audit.latest(session)] == ["feedback.withdraw"] * 3


def test_undo_is_for_ones_own_word(session: Session, prediction: Prediction) -> None:
    say(session, prediction, MARIA, RIGHT)
    with pytest.raises(NotFound):
        feedback.undo(session, prediction, PEDRO)
    with pytest.raises(NotFound):
        feedback.undo(session, prediction, OTHERS_MARIA)


def test_a_word_in_the_middle_of_a_history_can_be_withdrawn(session: Session, prediction: Prediction) -> None:
    first, second, third = (say(session, prediction, MARIA, word) for word in (RIGHT, WRONG, NO_LEAF))
    assert feedback.withdraw(session, prediction, second, actor="key:rev") is third
    assert (first.status, second.status, third.status) == ("replaced", "withdrawn", "pending")
    assert feedback.undo(session, prediction, MARIA) is first
    with pytest.raises(NotFound, match="already"):
        feedback.withdraw(session, prediction, second, actor="key:rev")


def test_a_review_accepts_what_agrees_and_overrules_the_rest(session: Session, prediction: Prediction) -> None:
    says = {MARIA: SICKER_THAN_SAID, PEDRO: RIGHT, OTHERS_MARIA: WRONG, Author("c", "x"): NO_LEAF}
    rows = {author: say(session, prediction, author, word) for author, word in says.items()}
    asks = say(session, prediction, Author("d", None), Word(None, ask_expert=True))
    review = decide(session, prediction, SICKER)
    assert [row.status for row in rows.values()] == ["accepted", "overruled", "accepted", "overruled"]
    assert asks.status == "accepted"
    take_back(session, prediction, review)
    assert set(statuses(session, prediction)) == {"pending"}
    decide(session, prediction, SICK)
    assert [row.status for row in rows.values()] == ["overruled", "accepted", "overruled", "overruled"]


def test_a_review_that_accepts_without_more_words_says_what_the_answer_said(
    session: Session, prediction: Prediction
) -> None:
    right, wrong = say(session, prediction, MARIA, RIGHT), say(session, prediction, PEDRO, WRONG)
    decide(session, prediction, None, decision="accept", outcome=None)
    assert (right.status, wrong.status) == ("accepted", "overruled")


@pytest.mark.parametrize("decision", ["reject", "skip", "second"])
def test_a_review_that_decides_nothing_leaves_words_as_they_are(
    session: Session, prediction: Prediction, decision: str
) -> None:
    word = say(session, prediction, MARIA, RIGHT)
    decide(session, prediction, None, decision=decision, outcome=None)
    assert word.status == "pending"


def test_who_repeats_a_review_earns_nothing_by_it(session: Session, prediction: Prediction) -> None:
    decide(session, prediction, SICKER)
    assert say(session, prediction, MARIA, SICKER_THAN_SAID).status == "pending"


def test_an_earlier_word_that_counts_again_is_judged_by_the_review_that_came_meanwhile(
    session: Session, prediction: Prediction
) -> None:
    first = say(session, prediction, MARIA, RIGHT)
    say(session, prediction, MARIA, SICKER_THAN_SAID)
    decide(session, prediction, SICK)
    assert feedback.undo(session, prediction, MARIA) is first
    assert first.status == "accepted"


# Whatever happens, in whatever order

AUTHORS = (MARIA, PEDRO)
WORDS = {
    "right": RIGHT,
    "wrong": WRONG,
    "sicker": SICKER_THAN_SAID,
    "healthy": NOTHING_THERE,
    "ask": Word(None, ask_expert=True),
}
HOLDS = {  # by what the review says, the words that it confirms
    SICK: {"right", "ask"},
    SICKER: {"wrong", "sicker", "ask"},
    HEALTHY: {"wrong", "healthy", "ask"},
}
STEPS = st.one_of(
    st.tuples(st.just("say"), st.sampled_from(AUTHORS), st.sampled_from(sorted(WORDS))),
    st.tuples(st.just("undo"), st.sampled_from(AUTHORS), st.none()),
    st.tuples(st.just("withdraw"), st.integers(0, 12), st.none()),
    st.tuples(st.just("decide"), st.sampled_from(sorted(HOLDS)), st.none()),
    st.tuples(st.just("take back"), st.none(), st.none()),
)


class History:
    """What happened, in order, told without a database: words in stacks, one an author, and the reviews that stand."""

    def __init__(self) -> None:
        self.clock = 0
        self.said: dict[str, tuple[Author, str, int]] = {}
        self.stacks: dict[Author, list[str]] = {author: [] for author in AUTHORS}
        self.reviews: list[tuple[str, int, Review]] = []

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def say(self, author: Author, kind: str, row_id: str) -> None:
        stack = self.stacks[author]
        if stack and self.said[stack[-1]][1] == kind and not (kind == "ask" and self._replied(stack[-1])):
            assert row_id == stack[-1]
            return
        assert row_id not in self.said
        self.said[row_id] = (author, kind, self.tick())
        stack.append(row_id)

    def statuses(self) -> dict[str, str]:
        found = dict.fromkeys(self.said, "withdrawn")
        for stack in self.stacks.values():
            found |= dict.fromkeys(stack, "replaced")
            if stack:
                found[stack[-1]] = self._judged(stack[-1])
        return found

    def _replied(self, row_id: str) -> bool:
        return bool(self.reviews) and self.said[row_id][2] < self.reviews[-1][1]

    def _judged(self, row_id: str) -> str:
        _, kind, at = self.said[row_id]
        if not self.reviews or at > self.reviews[-1][1]:
            return "pending"
        return "accepted" if kind in HOLDS[self.reviews[-1][0]] else "overruled"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    [("say", MARIA, "right"), ("say", MARIA, "wrong"), ("say", MARIA, "ask"), ("withdraw", 1, None)]
)  # from the middle
@example([("say", MARIA, "right"), ("say", MARIA, "wrong"), ("decide", SICK, None), ("undo", MARIA, None)])
@given(steps=st.lists(STEPS, min_size=8, max_size=16))
def test_statuses_are_the_fold_of_what_happened_whatever_happened(
    sqlite: Ledger, steps: list[tuple[str, Any, Any]]
) -> None:
    with tried_out(sqlite) as session:
        prediction, history = an_answer(session), History()
        for what, who, word in steps:
            _happens(session, prediction, history, what, who, word)
            session.expire_all()
            rows = session.scalars(select(Feedback).where(Feedback.prediction_id == prediction.id))
            assert {row.id: row.status for row in rows} == history.statuses()
            _queue_is_true(session, prediction)


def _happens(session: Session, prediction: Prediction, history: History, what: str, who: Any, word: Any) -> None:
    if what == "say":
        history.say(who, word, say(session, prediction, who, WORDS[word]).id)
    elif what == "undo" and history.stacks[who]:
        feedback.undo(session, prediction, who)
        history.stacks[who].pop()
    elif what == "withdraw" and (live := [row for stack in history.stacks.values() for row in stack]):
        chosen = live[who % len(live)]
        feedback.withdraw(session, prediction, session.get_one(Feedback, chosen), actor="test")
        history.stacks[history.said[chosen][0]].remove(chosen)
    elif what == "decide":
        history.reviews.append((who, history.tick(), decide(session, prediction, who)))
    elif what == "take back" and history.reviews:
        take_back(session, prediction, history.reviews.pop()[2])


def _queue_is_true(session: Session, prediction: Prediction) -> None:
    """Somebody is asked for just while somebody asks, what is disputed is open, and a review's item never goes."""
    item, said = item_of(session, prediction), feedback.words_of(session, prediction.id)
    codes = {reason["code"] for reason in item.reasons} if item else set()
    assert not any(word.status == "pending" for word in said) or item is not None
    assert item is None or item.priority == sum(worth.WEIGHTS[code] for code in codes)
    assert "contradiction" not in codes or len({(w.is_correct, w.correct_outcome) for w in said}) > 1
    assert session.scalar(select(func.count()).select_from(Review)) == 0 or item is not None


# Two at once


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    postgres = request.param == "postgresql"
    opened = Ledger(request.getfixturevalue("postgres_url") if postgres else f"sqlite:///{tmp_path / 'leafloop.db'}")
    opened.upgrade()
    yield opened
    opened.close()


def test_many_words_of_one_author_at_once_leave_one_that_counts(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        prediction_id = an_answer(session).id

    def speak(number: int) -> str:
        with ledger.transaction() as session:
            prediction = session.get_one(Prediction, prediction_id)
            if number % 5 == 4:
                with suppress(NotFound):  # it was the first
                    feedback.undo(session, prediction, MARIA)
                return "undone"
            return say(session, prediction, MARIA, Word(number % 2 == 0, comment=str(number % 7))).id

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(speak, range(24)))
    with ledger.reading() as session:
        rows = session.scalars(select(Feedback)).all()
        assert sum(row.status == "pending" for row in rows) <= 1
        assert {row.status for row in rows} <= {"pending", "replaced", "withdrawn"}
        chained = [row.replaces for row in rows if row.status != "withdrawn"]
        assert len(chained) == len(set(chained))  # no word was replaced by two


def test_the_same_word_at_once_is_one_row(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        prediction_id = an_answer(session).id

    def speak(_: int) -> str:
        with ledger.transaction() as session:
            return say(session, session.get_one(Prediction, prediction_id), MARIA, NO_LEAF).id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(speak, range(8)))) == 1


def test_a_word_on_an_answer_that_was_deleted_meanwhile_is_refused(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        prediction = an_answer(session)
    with ledger.transaction() as session:
        predictions.delete(session, prediction.id)
    with ledger.transaction() as session, pytest.raises(NotFound, match="deleted"):
        say(session, prediction, MARIA, RIGHT)


def test_words_are_judged_listed_and_counted_alike_on_both_databases(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        prediction, other = an_answer(session), an_answer(session, predicted_class_name=None, outcome="uncertain")
        say(session, prediction, Author(None, None), RIGHT)
        say(session, prediction, MARIA, Word(False, corrected_boxes=(BOX,)))
        say(session, prediction, PEDRO, SICKER_THAN_SAID)
        say(session, prediction, PEDRO, RIGHT)
        decide(session, prediction, SICK)
        say(session, other, MARIA, NOTHING_THERE)
    with ledger.reading() as session:
        counted = tally.stats(session, days=7)
        assert counted["by_status"] == {"pending": 1, "accepted": 2, "overruled": 1, "replaced": 1, "withdrawn": 0}
        assert (counted["total_predictions"], counted["total_feedback"], counted["correct_predictions"]) == (2, 3, 2)
        assert counted["class_statistics"]["uncertain"]["accuracy"] == 0
        keyless = words.find(session, words.Filters(prediction_id=prediction.id, keyless=True))
        assert [row.user_id for row in keyless.items] == [None]
        first = words.find(session, words.Filters(), limit=2)
        rest = words.find(session, words.Filters(), limit=9, cursor=first.next_cursor)
        assert len({row.id for row in [*first.items, *rest.items]}) == first.total == 5
        authors = [("aaaaaaaa", "maria"), ("aaaaaaaa", "pedro"), ("aaaaaaaa", None), (None, None), (None, "maria")]
        assert words.settled_counts(session, authors) == {
            ("aaaaaaaa", "maria"): (0, 1), ("aaaaaaaa", "pedro"): (1, 0), (None, None): (1, 0)
        }  # fmt: skip
