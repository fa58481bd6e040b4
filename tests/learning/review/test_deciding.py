"""Review: which case comes next, leases, decisions, second opinions, undo."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.learning.reviewed import (
    ACCEPT,
    ANA,
    BEN,
    CLEO,
    NO_LEAF,
    REJECT,
    SICK,
    SICKER,
    SKIP,
    answered,
    box,
    decided,
    label_of,
    next_for,
    prediction_of,
    statuses,
    undone,
    waiting,
)
from tests.tiny_models import BANANA

from leafloop.errors import NotFound, RequestInvalid, ReviewConflict
from leafloop.learning.review import deciding, taking, worth
from leafloop.learning.review.deciding import Case, Decision, Reviewer
from leafloop.learning.words import feedback
from leafloop.learning.words.feedback import Author, Word
from leafloop.storage import audit, reviews
from leafloop.storage.tables import Review, ReviewItem, now

MARIA = Author("phonefon", "maria")
WRONG_CLASS = Decision("correct", class_name=SICKER)
ALONE = Reviewer(None, None)  # whoever tries the open service


@pytest.fixture(autouse=True)
def _no_random_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "_is_random_turn", lambda *_: False)


def ids(*cases: Case | None) -> list[str]:
    return [case.item.id for case in cases if case is not None]


# Which case comes next


def test_what_is_worth_most_comes_first_then_who_waits_then_the_oldest(session: Session) -> None:
    at = now()
    common = [waiting(session, None, "uncertain") for _ in range(2)]
    waits = waiting(session, None, "uncertain", due_at=at + timedelta(days=2))
    waits_less = waiting(session, None, "uncertain", due_at=at + timedelta(days=1))
    asked = waiting(session, None, "asked")
    got = [next_for(session, ANA, skip=[]) for _ in range(1)]
    for _ in range(4):
        got.append(next_for(session, ANA, skip=ids(*got)))
    assert ids(*got) == [asked.id, waits_less.id, waits.id, common[0].id, common[1].id]
    assert next_for(session, ANA, skip=ids(*got)) is None


def test_whoever_asks_again_gets_what_is_in_hand_and_its_version_stays(session: Session) -> None:
    waiting(session), waiting(session)
    first, again = next_for(session, ANA), next_for(session, ANA)
    assert first is not None
    assert again is not None
    assert (first.item.id, first.as_dict()["version"]) == (again.item.id, again.item.version)


def test_a_reason_narrows_the_queue(session: Session) -> None:
    waiting(session, None, "asked")
    rare = waiting(session, None, "rare_class", "uncertain")
    assert ids(next_for(session, ANA, reason="rare_class")) == [rare.id]
    assert next_for(session, BEN, reason="poor_photo") is None


def test_every_fifth_case_is_the_oldest_of_the_random_share_whatever_else_waits(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    random = [waiting(session, None, "random").id for _ in range(2)]
    for _ in range(12):
        waiting(session, None, "asked")
    took = []
    for _ in range(10):
        case = next_for(session, ANA)
        assert case is not None
        took.append(case.item.id)
        deciding.decide(session, BANANA, case.item.id, case.item.version, ANA, REJECT, second_share=0)
    at = [place for place, item_id in enumerate(took) if item_id in random]
    assert len(at) == 2
    assert at[1] - at[0] == taking.RANDOM_EVERY
    assert [took[place] for place in at] == random


def test_a_skipped_photo_comes_back_to_others_at_once_and_to_this_reviewer_on_another_day(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = waiting(session)
    assert decided(session, ANA, item, SKIP).decision == "skip"
    assert next_for(session, ANA) is None
    assert ids(next_for(session, BEN)) == [item.id]
    deciding.release(session, item.id, BEN)
    tomorrow = now() + timedelta(hours=25)
    monkeypatch.setattr(taking, "now", lambda: tomorrow)
    assert ids(next_for(session, ANA)) == [item.id]


# Leases


def test_nobody_else_gets_what_somebody_has_in_hand_until_the_lease_runs_out(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = waiting(session)
    mine = next_for(session, ANA)
    assert mine is not None
    version = mine.item.version
    assert next_for(session, BEN) is None
    with pytest.raises(ReviewConflict, match="in hand"):
        deciding.take(session, BANANA, item.id, BEN, 10)
    later = now() + timedelta(minutes=11)
    monkeypatch.setattr(taking, "now", lambda: later)
    assert ids(next_for(session, BEN)) == [item.id]
    monkeypatch.setattr(deciding, "now", lambda: later)
    with pytest.raises(ReviewConflict):
        deciding.decide(session, BANANA, item.id, version, ANA, ACCEPT, second_share=0)


def test_a_lease_that_ran_out_and_that_nobody_took_over_still_decides(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, later = waiting(session), now() + timedelta(hours=3)
    case = next_for(session, ANA)
    assert case is not None
    monkeypatch.setattr(deciding, "now", lambda: later)
    assert (
        deciding.decide(session, BANANA, item.id, case.item.version, ANA, ACCEPT, second_share=0).decision == "accept"
    )


def test_two_answers_of_the_same_bytes_are_one_photo(session: Session) -> None:
    waiting(session, answered(session, "one")), waiting(session, answered(session, "one"))
    assert len(ids(next_for(session, ANA), next_for(session, BEN))) == 1


def test_a_case_that_is_given_back_is_anybodys(session: Session) -> None:
    item = waiting(session)
    next_for(session, ANA)
    deciding.release(session, item.id, BEN)  # not his to give
    assert next_for(session, BEN) is None
    deciding.release(session, item.id, ANA)
    assert ids(next_for(session, BEN)) == [item.id]


def test_an_unknown_case_is_not_found(session: Session) -> None:
    for act in (
        lambda: deciding.take(session, BANANA, "x", ANA, 10),
        lambda: deciding.release(session, "x", ANA),
        lambda: deciding.decide(session, BANANA, "x", 1, ANA, ACCEPT, second_share=0),
        lambda: undone(session, ANA, review_id="x"),
    ):
        with pytest.raises(NotFound):
            act()


# Decisions


def test_a_decision_ends_a_case_and_settles_what_people_said(session: Session) -> None:
    prediction = answered(session)
    feedback.submit(session, BANANA, prediction, MARIA, Word(False, correct_class_name=SICKER))
    feedback.submit(session, BANANA, prediction, Author("phonefon", "pedro"), Word(True))
    item = reviews.of_prediction(session, prediction.id)
    assert item is not None
    done = decided(
        session, ANA, item, Decision("correct", class_name=SICKER, comment=" Look at the edge. ", seconds=4.5)
    )
    assert (item.state, item.leased_by, done.outcome, done.class_name) == ("done", None, "diseased", SICKER)
    assert (done.comment, done.seconds, done.key_id, done.reviewer) == ("Look at the edge.", 4.5, "anasanas", "Ana")
    assert statuses(session) == ["accepted", "overruled"]
    label = label_of(session, prediction)
    assert label is not None
    assert set(label.feedback_ids or []) == {word.id for word in feedback.words_of(session, prediction.id)}
    assert item.decided_at is not None


def test_of_two_decisions_on_one_version_the_second_is_a_conflict(session: Session) -> None:
    item = waiting(session)
    version = deciding.take(session, BANANA, item.id, ANA, 10).item.version
    deciding.decide(session, BANANA, item.id, version, ANA, ACCEPT, second_share=0)
    for who, decision in ((BEN, ACCEPT), (ANA, REJECT)):
        with pytest.raises(ReviewConflict):
            deciding.decide(session, BANANA, item.id, version, who, decision, second_share=0)


@pytest.mark.parametrize("decision", [ACCEPT, REJECT, SKIP, Decision("correct", boxes=[box()], comment="so")])
def test_the_same_decision_sent_again_is_the_same_review(session: Session, decision: Decision) -> None:
    item = waiting(session)
    version = deciding.take(session, BANANA, item.id, ANA, 10).item.version
    first, again = (deciding.decide(session, BANANA, item.id, version, ANA, decision, second_share=0) for _ in range(2))
    assert first.id == again.id


def test_a_rejected_photo_is_out_of_the_queue_and_makes_no_label(session: Session) -> None:
    prediction = answered(session)
    item = waiting(session, prediction)
    decided(session, ANA, item, REJECT)
    assert (item.state, label_of(session, prediction)) == ("rejected", None)


def test_a_decision_that_contradicts_itself_leaves_everything_as_it_was(session: Session) -> None:
    item = waiting(session)
    with pytest.raises(RequestInvalid):
        decided(session, ANA, item, Decision("correct"))
    assert (item.state, session.scalars(select(Review)).all()) == ("open", [])


def test_a_decided_case_can_be_taken_by_its_id_and_decided_again(session: Session) -> None:
    prediction = answered(session)
    item = waiting(session, prediction)
    decided(session, ANA, item, ACCEPT)
    case = deciding.take(session, BANANA, item.id, BEN, 10)
    assert [opinion["decision"] for opinion in case.as_dict()["opinions"]] == ["accept"]
    deciding.decide(session, BANANA, item.id, case.item.version, BEN, WRONG_CLASS, second_share=0)
    label = label_of(session, prediction)
    assert label is not None
    assert (label.class_name, label.revision, label.strength) == (SICKER, 2, "weak")


def test_somebody_who_disputes_a_review_opens_it_again(session: Session) -> None:
    prediction = answered(session)
    item = waiting(session, prediction)
    decided(session, ANA, item, ACCEPT)
    feedback.submit(session, BANANA, prediction, MARIA, Word(False, correct_class_name=SICKER))
    assert item.state == "open"
    assert ids(next_for(session, BEN)) == [item.id]


# Second opinions


def asked_second(session: Session, decision: Decision = ACCEPT) -> ReviewItem:
    item = waiting(session)
    decided(session, ANA, item, Decision(**{**vars(decision), "ask_second": True}))
    return item


def test_a_second_opinion_is_blind_and_never_of_the_same_reviewer(session: Session) -> None:
    item = asked_second(session)
    assert item.state == "second"
    assert next_for(session, ANA) is None
    with pytest.raises(ReviewConflict, match="somebody else's opinion"):
        deciding.take(session, BANANA, item.id, ANA, 10)
    case = next_for(session, BEN)
    assert case is not None
    assert (case.blind, case.as_dict()["opinions"]) == (True, [])


def test_no_label_comes_of_one_opinion_where_a_second_is_wanted_and_two_that_agree_make_it(session: Session) -> None:
    item = asked_second(session)
    prediction = prediction_of(session, item)
    feedback.submit(session, BANANA, prediction, MARIA, Word(True))
    assert (label_of(session, prediction), statuses(session)) == (None, ["pending"])
    assert decided(session, BEN, item, ACCEPT).blind
    label = label_of(session, prediction)
    assert label is not None
    assert (item.state, label.strength, label.validated_by) == ("done", "strong", ANA.identity)
    assert statuses(session) == ["accepted"]


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        (ACCEPT, ACCEPT, "done"),
        (ACCEPT, WRONG_CLASS, "disputed"),
        (ACCEPT, REJECT, "disputed"),
        (REJECT, REJECT, "rejected"),
        (ACCEPT, Decision("correct", class_name=SICK), "done"),  # a class and no boxes contradicts no box
        (ACCEPT, Decision("correct", boxes=[box(SICK, x2=180.0)]), "done"),
        (ACCEPT, Decision("correct", boxes=[box(SICK, x1=300.0, x2=400.0)]), "disputed"),  # the same class, elsewhere
        (ACCEPT, NO_LEAF, "disputed"),
    ],
)
def test_two_opinions_are_one_or_a_dispute(session: Session, first: Decision, second: Decision, state: str) -> None:
    item = asked_second(session, first)
    decided(session, BEN, item, second)
    assert item.state == state


def test_of_two_opinions_that_agree_the_one_with_boxes_makes_the_label(session: Session) -> None:
    item = asked_second(session, Decision("correct", class_name=SICK))
    decided(session, BEN, item, ACCEPT)
    label = label_of(session, prediction_of(session, item))
    assert label is not None
    assert (label.strength, label.validated_by) == ("strong", BEN.identity)


def test_a_dispute_is_shown_with_both_opinions_and_goes_to_a_third_first(session: Session) -> None:
    item = asked_second(session)
    decided(session, BEN, item, WRONG_CLASS)
    plain = waiting(session, None, "confirmation")
    assert ids(next_for(session, ANA)) == [plain.id]  # anything else first
    deciding.release(session, plain.id, ANA)
    case = next_for(session, CLEO, skip=[plain.id])
    assert case is not None
    assert [opinion["reviewer"] for opinion in case.as_dict()["opinions"]] == ["Ana", "Ben"]
    assert not case.blind
    deciding.release(session, item.id, CLEO)
    assert ids(next_for(session, ANA, skip=[plain.id])) == [item.id]  # nobody else is there to settle it
    decided(session, ANA, item, WRONG_CLASS)
    label = label_of(session, prediction_of(session, item))
    assert label is not None
    assert (item.state, label.class_name) == ("done", SICKER)


def test_chance_asks_for_second_opinions_only_where_a_colleague_reviews(session: Session) -> None:
    item = waiting(session)
    decided(session, ALONE, item, ACCEPT, second=1.0)
    assert item.state == "done"
    decided(session, ANA, waiting(session), ACCEPT)
    again = waiting(session)
    decided(session, ALONE, again, ACCEPT, second=1.0)
    assert again.state == "second"


def test_who_asks_for_a_second_opinion_and_is_alone_gets_it_back_after_a_week_and_settles_it(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = waiting(session)
    decided(session, ALONE, item, Decision("accept", ask_second=True))
    assert next_for(session, ALONE) is None
    later = now() + timedelta(days=7, minutes=1)
    for module in (taking, deciding):
        monkeypatch.setattr(module, "now", lambda: later)
    case = next_for(session, ALONE)
    assert case is not None
    assert not case.blind
    done = deciding.decide(session, BANANA, item.id, case.item.version, ALONE, ACCEPT, second_share=1.0)
    assert (item.state, done.blind) == ("done", False)


# Undo


def test_undo_takes_the_last_decision_back_and_its_case_is_in_hand_again(session: Session) -> None:
    prediction = answered(session)
    feedback.submit(session, BANANA, prediction, MARIA, Word(True))
    item = reviews.of_prediction(session, prediction.id)
    assert item is not None
    done = decided(session, ANA, item, ACCEPT)
    case = undone(session, ANA)
    assert ids(case) == [item.id]
    assert (item.state, item.leased_by, item.decided_at) == ("open", ANA.identity, None)
    assert done.undone_at is not None
    assert (label_of(session, prediction), statuses(session)) == (None, ["pending"])
    assert audit.happened(session, action="review.undo", subject=done.id)


def test_undo_goes_back_one_decision_at_a_time_and_then_there_is_none(session: Session) -> None:
    items = [waiting(session) for _ in range(3)]
    for item, decision in zip(items, (ACCEPT, REJECT, SKIP), strict=True):
        decided(session, ANA, item, decision)
    assert ids(*(undone(session, ANA) for _ in range(4))) == [item.id for item in items[::-1]]
    assert {item.state for item in items} == {"open"}


def test_undo_that_names_its_decision_takes_back_no_second_one(session: Session) -> None:
    first, second = waiting(session), waiting(session)
    earlier = decided(session, ANA, first, ACCEPT)
    last = decided(session, ANA, second, ACCEPT)
    with pytest.raises(ReviewConflict, match="last"):
        undone(session, ANA, review_id=earlier.id)
    for _ in range(2):
        assert ids(undone(session, ANA, review_id=last.id)) == [second.id]
    assert (first.state, second.state) == ("done", "open")
    with pytest.raises(NotFound):
        undone(session, BEN, review_id=last.id)


def test_undo_of_a_changed_label_says_again_what_it_said_before(session: Session) -> None:
    prediction = answered(session)
    item = waiting(session, prediction)
    decided(session, ANA, item, ACCEPT)
    decided(session, BEN, item, REJECT)
    label = label_of(session, prediction)
    assert label is not None
    assert (item.state, label.is_validated, label.revision) == ("rejected", False, 2)
    undone(session, BEN)
    assert (item.state, label.is_validated, label.class_name, label.revision) == ("done", True, SICK, 3)


def test_undo_leaves_a_label_that_a_snapshot_holds_as_one_that_is_not_trained_on(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction = answered(session)
    decided(session, ANA, waiting(session, prediction), ACCEPT)
    monkeypatch.setattr("leafloop.storage.labels.in_snapshot", lambda *_: "f" * 64)
    undone(session, ANA)
    label = label_of(session, prediction)
    assert label is not None
    assert (label.is_validated, label.revision, label.class_name) == (False, 2, SICK)


def test_undo_is_refused_once_somebody_judged_on_top_of_it_or_has_the_photo_in_hand(session: Session) -> None:
    item = asked_second(session)
    next_for(session, BEN)
    with pytest.raises(ReviewConflict, match="in hand"):
        undone(session, ANA)
    decided(session, BEN, item, ACCEPT)
    with pytest.raises(ReviewConflict, match="since"):
        undone(session, ANA)
    undone(session, BEN)
    deciding.release(session, item.id, BEN)
    assert item.state == "second"
    assert ids(undone(session, ANA)) == [item.id]
    assert item.state == "open"


def test_the_case_is_all_plain_data(session: Session) -> None:
    prediction = answered(session)
    feedback.submit(session, BANANA, prediction, MARIA, Word(None, ask_expert=True, comment="What is it?", rating=2))
    case = next_for(session, ANA)
    assert case is not None
    plain = json.loads(json.dumps(case.as_dict()))
    assert plain["prediction"]["quality"]["sharpness"] == 250.0
    assert plain["detections"] == prediction.bbox_data
    assert plain["words"][0]["comment"] == "What is it?"
    assert [reason["code"] for reason in plain["reasons"]] == ["asked"]
    assert plain["due_at"] is not None
    assert plain["remaining"] == 1


def test_counts_say_what_waits_and_for_whom_too_long(session: Session) -> None:
    waiting(session, None, "asked", due_at=now() - timedelta(hours=1)), waiting(session)
    asked_second(session)
    counted = deciding.queue_counts(session)
    assert {name: counted[name] for name in ("open", "second", "disputed", "done", "waiting", "overdue")} == {
        "open": 2, "second": 1, "disputed": 0, "done": 0, "waiting": 3, "overdue": 1,
    }  # fmt: skip


def test_the_random_share_and_second_opinions_are_drawn_apart_and_always_alike() -> None:
    drawn = [str(number) for number in range(4000)]
    random = {one for one in drawn if worth.chance("random", one) < 0.25}
    second = {one for one in drawn if deciding.wants_second(one, 0.25)}
    assert random == {one for one in drawn if worth.chance("random", one) < 0.25}
    assert 900 < len(random) < 1100
    assert 180 < len(random & second) < 320  # a sixteenth of them
