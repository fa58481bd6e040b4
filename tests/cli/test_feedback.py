"""`leafloop feedback`: said, taken back, listed, counted; from the command line, as from anywhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from tests.cli.conftest import Leafloop
from tests.learning.said import SICK, SICKER, an_answer

from leafloop import settings
from leafloop.live.parts import open_ledger
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import ReviewItem


@pytest.fixture
def ledger(home: Path) -> Ledger:
    opened = open_ledger(settings.load({"LEAFLOOP_HOME": str(home)}, dotenv=None))
    opened.close()
    return opened


@pytest.fixture
def prediction_id(ledger: Ledger) -> str:
    with ledger.transaction() as session:
        return an_answer(session, key_id="aaaaaaaa").id


def test_a_word_is_said_replaced_and_taken_back(leafloop: Leafloop, prediction_id: str, ledger: Ledger) -> None:
    said = leafloop("feedback", "submit", prediction_id, "--right", "--user", "ana", "--json").json
    assert (set(said), said["status"]) == ({"success", "feedback_id", "message", "status"}, "pending")
    words = ("--wrong", "--class", SICKER, "--comment", "further on", "--rating", "4", "--ask-expert")
    assert leafloop("feedback", "submit", prediction_id, *words, "--user", "ana").code == 0
    listed = leafloop("feedback", "list", "--prediction", prediction_id, "--json").json
    assert [(w["status"], w["correct_class_name"], w["feedback_source"]) for w in listed] == [
        ("pending", SICKER, "cli"), ("replaced", None, "cli")
    ]  # fmt: skip
    with ledger.reading() as session:
        assert {r["code"] for r in session.scalars(select(ReviewItem)).one().reasons} == {"asked", "correction"}
    assert "further on" in leafloop("feedback", "list").out
    assert (
        leafloop("feedback", "undo", prediction_id, "--user", "ana", "--json").json["feedback_id"]
        == said["feedback_id"]
    )
    (withdrawn,) = leafloop("feedback", "list", "--status", "withdrawn", "--json").json
    assert withdrawn["user_comment"] == "further on"
    counted = leafloop("feedback", "stats", "--json").json
    assert (counted["overall_accuracy"], counted["class_statistics"][SICK]["correct"]) == (1.0, 1)
    assert "100% right (95 %: " in leafloop("feedback", "stats").err


def test_boxes_are_said_one_by_one_and_the_class_follows(leafloop: Leafloop, prediction_id: str) -> None:
    boxes = ("--box", f"{SICKER}:10,10,60.5,50", "--box", f"{SICK}:70,70,90,95")
    assert leafloop("feedback", "submit", prediction_id, "--wrong", *boxes).code == 0
    (word,) = leafloop("feedback", "list", "--json").json
    assert (word["correct_class_name"], word["correct_outcome"]) == (SICKER, "diseased")
    assert [(box["class_name"], *box["bbox"].values()) for box in word["corrected_boxes"]] == [
        (SICKER, 10, 10, 60.5, 50), (SICK, 70, 70, 90, 95)
    ]  # fmt: skip
    outside = leafloop("feedback", "submit", prediction_id, "--wrong", "--box", f"{SICKER}:600,10,700,50")
    assert (outside.code, "request_invalid" in outside.err) == (1, True)


def test_an_undo_that_names_its_word_takes_one_back_however_often_it_is_said(
    leafloop: Leafloop, prediction_id: str
) -> None:
    first = leafloop("feedback", "submit", prediction_id, "--right", "--json").json["feedback_id"]
    second = leafloop("feedback", "submit", prediction_id, "--no-leaf", "--wrong", "--json").json["feedback_id"]
    for _ in range(2):
        assert leafloop("feedback", "undo", prediction_id, "--word", second, "--json").json["feedback_id"] == first
    assert leafloop("feedback", "undo", prediction_id, "--word", "0" * 36).code == 1
    (left,) = leafloop("feedback", "list", "--json").json
    assert (left["id"], left["status"]) == (first, "pending")


@pytest.mark.parametrize(
    "words",
    [("--right", "--class", SICKER), ("--no-leaf",), ("--wrong", "--class", SICKER, "--no-leaf"), ("--right", "--rating", "6"),
     ("--wrong", "--box", f"{SICKER}:1,2,3"), ("--wrong", "--box", f"{SICKER}:1,2,3,x"), ("--right", "--box", f"{SICKER}:1,2,30,40"),
     ("--wrong", "--box", f"{SICKER}:1,2,30,40", "--no-leaf")],
)  # fmt: skip
def test_words_that_do_not_go_together_are_a_usage_error(
    leafloop: Leafloop, prediction_id: str, words: tuple[str, ...]
) -> None:
    assert leafloop("feedback", "submit", prediction_id, *words).code == 2


def test_what_cannot_be_said_is_refused_in_a_clear_line(leafloop: Leafloop, prediction_id: str) -> None:
    for words, code in (
        ((prediction_id, "--wrong", "--class", "Stage99"), "request_invalid"), ((prediction_id,), "request_invalid"),
        (("0" * 36, "--right"), "not_found"),
    ):  # fmt: skip
        done = leafloop("feedback", "submit", *words)
        assert (done.code, code in done.err) == (1, True), done.err
    assert leafloop("feedback", "list", "--json").json == []
    assert leafloop("feedback", "undo", prediction_id).code == 1
