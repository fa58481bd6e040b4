"""Reviewers at the same time, on both databases: nobody gets a photo that somebody has, and each photo is decided once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests.learning.reviewed import ACCEPT, ANA, BEN, CLEO, answered, decided, next_for, undone, waiting
from tests.learning.said import tried_out
from tests.tiny_models import BANANA

from leafloop.errors import LeafloopError, ReviewConflict
from leafloop.learning.review import deciding
from leafloop.learning.review.deciding import Reviewer
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Prediction, Review, ReviewItem, TrainingData, now

REVIEWERS = [Reviewer(f"key{number:05}", f"R{number}") for number in range(6)]


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    postgres = request.param == "postgresql"
    opened = Ledger(request.getfixturevalue("postgres_url") if postgres else f"sqlite:///{tmp_path / 'leafloop.db'}")
    opened.upgrade()
    yield opened
    opened.close()


def test_six_reviewers_who_work_through_one_queue_at_once_share_it_without_a_photo_twice(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        for number in range(12):  # and two answers of each photo
            for _ in range(2):
                waiting(session, answered(session, f"bytes {number}"))

    def work(who: Reviewer) -> list[str]:
        took = []
        while True:
            with ledger.transaction() as session:
                case = next_for(session, who, skip=took)
            if case is None:
                return took
            took.append(case.item.id)

    with ThreadPoolExecutor(len(REVIEWERS)) as pool:
        found = list(pool.map(work, REVIEWERS))
    with ledger.reading() as session:
        photos = dict(
            session.execute(
                select(ReviewItem.id, Prediction.image_hash).join(Prediction, Prediction.id == ReviewItem.prediction_id)
            ).all()
        )
    took = [item_id for one in found for item_id in one]
    assert len(took) == len(set(took)) == 24
    holders = Counter(photo for one in found for photo in {photos[item_id] for item_id in one})
    assert set(holders.values()) == {1}  # both answers of a photo are in one hand


def test_however_many_answers_there_are_of_a_photo_in_somebodys_hand_the_next_one_is_found(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        for _ in range(60):
            waiting(session, answered(session, "sent again and again"))
        in_anas_hand = next_for(session, ANA)
        assert in_anas_hand is not None
        assert next_for(session, BEN) is None
        other = waiting(session, answered(session, "another photo"))
        found = next_for(session, BEN)
    assert found is not None
    assert found.item.id == other.id


def test_one_case_that_all_decide_at_once_is_decided_once(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        item = waiting(session)
        item_id, version = item.id, item.version

    def decide(who: Reviewer) -> str | None:
        try:
            with ledger.transaction() as session:
                return deciding.decide(session, BANANA, item_id, version, who, ACCEPT, second_share=0).id
        except ReviewConflict:
            return None

    with ThreadPoolExecutor(len(REVIEWERS)) as pool:
        done = [review_id for review_id in pool.map(decide, REVIEWERS) if review_id]
    assert len(done) == 1
    with ledger.reading() as session:
        assert session.scalar(select(func.count()).select_from(Review)) == 1
        assert session.scalar(select(func.count()).select_from(TrainingData)) == 1


def test_two_answers_of_one_photo_decided_at_once_make_one_label(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        items = [waiting(session, answered(session, "one")) for _ in REVIEWERS]
        cases = [(item.id, item.version) for item in items]

    def decide(who: Reviewer, case: tuple[str, int]) -> None:
        with ledger.transaction() as session:
            deciding.decide(session, BANANA, *case, who, ACCEPT, second_share=0)

    with ThreadPoolExecutor(len(REVIEWERS)) as pool:
        list(pool.map(decide, REVIEWERS, cases))
    with ledger.reading() as session:
        assert session.scalars(select(TrainingData.revision)).all() == [len(REVIEWERS)]


def test_the_whole_of_review_works_on_both_databases(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        item = waiting(session, None, "asked", due_at=now())
        waiting(session, None, "random")
        assert next_for(session, ANA, reason="asked") is not None
        decided(session, ANA, item, deciding.Decision("accept", ask_second=True))
        assert item.state == "second"
        decided(session, BEN, item, deciding.Decision("skip"))
        decided(session, CLEO, item, deciding.Decision("reject"))
        assert item.state == "disputed"
        decided(session, BEN, item, ACCEPT)
        assert undone(session, BEN) is not None
        assert item.state == "disputed"
        assert deciding.queue_counts(session)["waiting"] == 2
        assert deciding.agreement(session)["pairs"] == 1


STEPS = st.tuples(
    st.sampled_from(["take", "take", "accept", "reject", "skip", "second", "release", "late", "undo"]),
    st.integers(0, 2),
    st.integers(0, 3),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=14))
def test_whatever_reviewers_do_one_photo_is_in_one_hand(sqlite: Ledger, steps: list[tuple[str, int, int]]) -> None:
    with tried_out(sqlite) as session:
        items = [waiting(session, answered(session, f"bytes {number // 2}")) for number in range(4)]
        for what, who, which in steps:
            _happens(session, what, (ANA, BEN, CLEO)[who], items[which])
            _nobody_shares(session, items)


def _happens(session: Session, what: str, who: Reviewer, item: ReviewItem) -> None:
    try:
        with session.begin_nested():
            if what == "take":
                next_for(session, who)
            elif what == "release":
                deciding.release(session, item.id, who)
            elif what == "late":  # the lease runs out
                item.leased_until = now()
            elif what == "undo":
                undone(session, who)
            else:
                said = deciding.Decision("accept", ask_second=True) if what == "second" else deciding.Decision(what)  # type: ignore[arg-type]
                decided(session, who, item, said)
    except LeafloopError:
        session.expire_all()


def _nobody_shares(session: Session, items: list[ReviewItem]) -> None:
    holders: dict[str, set[str | None]] = {}
    for item in items:
        session.refresh(item)
        if item.leased_until is not None and item.leased_until > now():
            photo = session.get_one(Prediction, item.prediction_id).image_hash
            holders.setdefault(photo, set()).add(item.leased_by)
    assert all(len(hands) == 1 for hands in holders.values())
