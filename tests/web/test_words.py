"""Amina says whether the answer is right: with a thumb, on bad networks, without scripts; an expert's reply comes back to her."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select
from tests.web.conftest import DESKTOP, PHONE, Site, Visit, Watched
from tests.web.test_boxes import Fingers

from leafloop import taxonomy
from leafloop.learning.words import feedback
from leafloop.storage import audit, predictions
from leafloop.storage.tables import Feedback, Review, ReviewItem

BANANA = taxonomy.load()
SAID = "[data-words] .receipt-words"
CARD = "[data-words]"


@pytest.fixture
def answered(site: Site, visit: Visit, ill_photo: Path) -> Page:
    """A phone with an answer on it, on the answer's own page."""
    files = {"file": ("leaf.jpg", ill_photo.read_bytes())}
    sent = httpx.post(f"{site.address}/photos", files=files, headers={"accept": "text/html"}, timeout=30)
    return visit(site.address + sent.headers["location"])


def with_answer(page: Page, photo: Path) -> Page:
    page.set_input_files("#choose", photo)
    page.get_by_role("button", name=re.compile("Send")).click()
    expect(page.locator(CARD)).to_be_visible()
    return page


def the_id(page: Page) -> str:
    return str(page.locator("[data-answer]").get_attribute("data-answer"))


def words(site: Site, prediction_id: str) -> list[Feedback]:
    """Every word on an answer, oldest first."""
    with site.parts.ledger.reading() as session:
        chosen = select(Feedback).where(Feedback.prediction_id == prediction_id).order_by(Feedback.timestamp)
        return list(session.scalars(chosen))


def decide(site: Site, prediction_id: str, **decision: Any) -> None:
    """What a reviewer does, by hand."""
    with site.parts.ledger.transaction() as session:
        item = session.scalar(select(ReviewItem).where(ReviewItem.prediction_id == prediction_id))
        assert item is not None
        item.state = "done"
        review = Review(item_id=item.id, prediction_id=prediction_id, **decision)
        session.add(review)
        session.flush()
        feedback.settle(session, prediction_id, review)


def tap(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).tap()


def open_wrong(page: Page) -> None:
    page.locator("[data-wrong] > summary").tap()


# On the phone


def test_it_is_right_by_one_tap(site: Site, visit: Visit, ill_photo: Path, watched: Watched) -> None:
    answered = with_answer(visit(site.address), ill_photo)
    tap(answered, "Right")
    expect(answered.locator(SAID)).to_have_text("It is right.")
    (word,) = words(site, the_id(answered))
    assert (word.is_correct, word.status, word.feedback_source) == (True, "pending", "page")
    expect(answered.locator("[data-heading]")).to_be_focused()  # who listens hears what became of it
    assert watched.console == []


def test_it_is_another_stage_by_two_taps(site: Site, answered: Page) -> None:
    open_wrong(answered)
    tap(answered, BANANA.title(2))
    expect(answered.locator(SAID)).to_have_text(f"It is {BANANA.title(2)}.")
    (word,) = words(site, the_id(answered))
    assert (word.is_correct, word.correct_class_id, word.correct_outcome) == (False, 2, "diseased")
    assert word.corrected_boxes is None  # a class without boxes: weak, and never dressed up as more


def test_every_class_is_offered_but_the_one_that_was_answered(answered: Page) -> None:
    open_wrong(answered)
    offered = answered.locator(".choices button span").all_inner_texts()
    assert [o.lower() for o in offered[:-3]] == [BANANA.title(i).lower() for i in range(7) if i != 4]
    assert offered[-3:] == ["Nothing is there", "It is not a leaf", "I'll draw it"]


@pytest.mark.parametrize(
    ("button", "sentence", "outcome", "boxes"),
    [
        ("Nothing is there", "Nothing is there.", "healthy", []),
        ("It is not a leaf", "It is not a leaf.", "no_leaf", None),
    ],
)
def test_nothing_there_and_no_leaf(
    site: Site, answered: Page, button: str, sentence: str, outcome: str, boxes: list[Any] | None
) -> None:
    open_wrong(answered)
    tap(answered, button)
    expect(answered.locator(SAID)).to_have_text(sentence)
    (word,) = words(site, the_id(answered))
    assert (word.is_correct, word.correct_outcome, word.corrected_boxes) == (False, outcome, boxes)


def test_a_box_is_drawn_by_finger_with_the_loupe_and_sent(site: Site, answered: Page) -> None:
    open_wrong(answered)
    tap(answered, "I'll draw it")
    photo = answered.locator(".draw-photo")
    expect(photo.locator(".be-box")).to_have_count(2)
    view = answered.evaluate(
        "() => { const i = document.querySelector('.draw-photo img').getBoundingClientRect();"
        " return [i.left, i.top, i.width / 512]; }"
    )
    left, top, scale = view
    fingers = Fingers(answered)
    start, end = (left + 200 * scale, top + 200 * scale), (left + 330 * scale, top + 290 * scale)
    fingers.drag(start, end, lift=False)
    expect(answered.locator(".be-loupe")).to_be_visible()
    fingers.touch("touchEnd")
    expect(answered.locator(".be-loupe")).to_be_hidden()
    expect(photo.locator(".be-box")).to_have_count(3)
    named = answered.locator(".draw-classes button").nth(5)
    named.tap()  # at once after the stroke: a browser must not take it for the stroke's end
    expect(named).to_have_attribute("aria-pressed", "true")
    tap(answered, "Send these 3 boxes")
    expect(answered.locator(SAID)).to_contain_text("You drew 3 boxes.")
    (word,) = words(site, the_id(answered))
    drawn = (word.corrected_boxes or [])[-1]
    assert drawn["class_id"] == 5
    assert list(drawn["bbox"].values()) == pytest.approx([200, 200, 330, 290], abs=4)
    assert word.correct_class_id == 5  # the most severe


def test_a_drawing_survives_that_its_window_is_closed(answered: Page) -> None:
    open_wrong(answered)
    tap(answered, "I'll draw it")
    tap(answered, "Add a box in the middle")
    tap(answered, "Close")
    tap(answered, "I'll draw it")
    expect(answered.locator(".be-box")).to_have_count(3)
    tap(answered, "Delete this box")
    tap(answered, "Undo")
    expect(answered.get_by_role("button", name="Send these 3 boxes")).to_be_visible()


def test_boxes_left_as_they_were_say_that_it_is_right(site: Site, answered: Page) -> None:
    open_wrong(answered)
    tap(answered, "I'll draw it")
    tap(answered, "Send these 2 boxes")
    expect(answered.locator(SAID)).to_have_text("It is right.")


def test_a_second_word_replaces_the_first_and_undo_brings_it_back(site: Site, answered: Page) -> None:
    tap(answered, "Right")
    expect(answered.locator(SAID)).to_have_text("It is right.")
    open_wrong(answered)
    tap(answered, "It is not a leaf")
    expect(answered.locator(SAID)).to_have_text("It is not a leaf.")
    answered.get_by_text("1 earlier word").tap()
    expect(answered.locator(".before s")).to_have_text("It is right.")
    tap(answered, "Undo")
    expect(answered.locator(SAID)).to_have_text("It is right.")
    expect(answered.locator(CARD)).to_contain_text("Your last word was taken back.")
    tap(answered, "Undo")
    expect(answered.locator("[data-heading]")).to_have_text("Is this right?")
    assert [w.status for w in words(site, the_id(answered))] == ["withdrawn", "withdrawn"]


def test_a_remark_and_a_question_keep_what_was_said(site: Site, answered: Page) -> None:
    open_wrong(answered)
    tap(answered, BANANA.title(2))
    answered.locator("summary", has_text="Add a remark").tap()
    answered.get_by_label("Your remark").fill("It grew\nsince Monday.")
    answered.locator(".rating label").nth(3).tap()
    tap(answered, "Send the remark")
    expect(answered.locator("blockquote")).to_contain_text("since Monday.")
    tap(answered, "Ask an expert")
    expect(answered.locator(CARD)).to_contain_text("An expert was asked.")
    expect(answered.get_by_role("button", name="Ask an expert")).to_have_count(0)
    now = words(site, the_id(answered))[-1]
    assert (now.correct_class_id, now.user_comment, now.confidence_rating, now.ask_expert) == (
        2, "It grew\nsince Monday.", 4, True,
    )  # fmt: skip


def test_an_expert_is_asked_by_one_tap_and_the_reply_comes_back(site: Site, answered: Page) -> None:
    own = the_id(answered)
    tap(answered, "Ask an expert")
    expect(answered.locator(SAID)).to_have_text("You asked an expert.")
    answered.goto(f"{site.address}/answers")
    row = answered.locator(f"[href='/answers/{own}']")
    expect(row).to_contain_text("An expert was asked")
    title = BANANA.title(2)
    decide(
        site,
        own,
        decision="correct",
        outcome="diseased",
        class_id=2,
        class_name=BANANA.class_names[2],
        comment="Early.",
    )
    answered.reload()
    expect(row).to_contain_text("An expert has replied")
    row.tap()
    reply = answered.locator("[data-reply]")
    expect(reply).to_contain_text(f"It is: {title}")
    expect(reply).to_contain_text("Early.")


def test_what_a_reviewer_thinks_of_a_word_is_told(site: Site, answered: Page) -> None:
    open_wrong(answered)
    tap(answered, BANANA.title(2))
    expect(answered.locator(SAID)).to_be_visible()
    decide(site, the_id(answered), decision="accept")
    answered.goto(f"{site.address}/answers/{the_id(answered)}")
    expect(answered.locator("[data-status]")).to_have_text("A reviewer sees it differently.")
    expect(answered.locator("[data-reply]")).to_contain_text("The answer is right:")


# Consent


def test_consent_is_asked_apart_and_can_be_taken_back(site: Site, answered: Page) -> None:
    state = answered.locator("[data-consent-state]")
    expect(state).to_have_attribute("data-consent-state", "none")
    tap(answered, "Yes")
    expect(state).to_contain_text("You said yes.")
    answered.goto(f"{site.address}/answers/{the_id(answered)}")
    expect(answered.get_by_role("button", name="Yes", exact=True)).to_have_attribute("aria-pressed", "true")
    tap(answered, "No")
    expect(state).to_contain_text("You said no")
    with site.parts.ledger.reading() as session:
        prediction = predictions.get(session, the_id(answered))
        assert prediction is not None
        assert predictions.photo_of(session, prediction).consent is False
        last = audit.latest(session, 1)[0]
    assert (last.actor, last.action, last.subject) == ("open", "prediction.edit", the_id(answered))
    assert last.detail == {"before": {"consent": True}, "after": {"consent": False}}


def test_consent_is_remembered_on_the_phone_only_if_wished_and_always_shown(
    site: Site, visit: Visit, ill_photo: Path
) -> None:
    answered = with_answer(visit(site.address), ill_photo)
    answered.get_by_label("The same for my next photos").check()
    tap(answered, "No")
    expect(answered.locator("[data-consent-state]")).to_contain_text("You said no")
    tap(answered, "Check another leaf")
    expect(answered.get_by_text("Your photos do not teach the model, as you chose.")).to_be_visible()
    with_answer(answered, ill_photo)
    expect(answered.locator("[data-consent-state]")).to_contain_text("You said no")
    answered.goto(site.address)
    tap(answered, "Ask me at each photo")
    with_answer(answered, ill_photo)
    expect(answered.locator("[data-consent-state]")).to_have_attribute("data-consent-state", "none")


# Bad networks


def test_a_word_that_did_not_get_through_is_kept_and_sent_again(site: Site, answered: Page) -> None:
    answered.route("**/words", lambda route: route.abort())
    open_wrong(answered)
    tap(answered, BANANA.title(2))
    fault = answered.get_by_role("alert")
    expect(fault).to_contain_text(f"“{BANANA.title(2)}” was not sent", ignore_case=True)
    answered.unroute("**/words")
    tap(answered, "Send again")
    expect(answered.locator(SAID)).to_have_text(f"It is {BANANA.title(2)}.")
    assert len(words(site, the_id(answered))) == 1


def test_a_word_whose_answer_was_lost_counts_once(site: Site, answered: Page) -> None:
    def lose(route: Any) -> None:
        route.fetch()
        route.abort()

    answered.route("**/words/undo", lose)
    tap(answered, "Right")
    expect(answered.locator(SAID)).to_be_visible()
    open_wrong(answered)
    tap(answered, "It is not a leaf")
    expect(answered.locator(SAID)).to_have_text("It is not a leaf.")
    tap(answered, "Undo")
    expect(answered.get_by_role("alert")).to_be_visible()
    answered.unroute("**/words/undo")
    tap(answered, "Send again")
    expect(answered.locator(SAID)).to_have_text("It is right.")  # one word was taken back, not two


def test_a_captive_portals_page_is_not_taken_for_ours(answered: Page) -> None:
    answered.route(
        "**/words", lambda route: route.fulfill(body="<h1>Log in to the hotel</h1>", content_type="text/html")
    )
    tap(answered, "Right")
    expect(answered.get_by_role("alert")).to_contain_text("the service did not answer as expected")


def test_a_drawing_that_did_not_get_through_is_still_there(site: Site, visit: Visit, ill_photo: Path) -> None:
    answered = with_answer(visit(site.address), ill_photo)
    answered.route("**/words", lambda route: route.abort())
    open_wrong(answered)
    tap(answered, "I'll draw it")
    tap(answered, "Add a box in the middle")
    tap(answered, "Send these 3 boxes")
    expect(answered.get_by_role("alert")).to_contain_text("was not sent")
    tap(answered, "I'll draw it")
    expect(answered.locator(".be-box")).to_have_count(3)


# A desktop, a keyboard, no script


def test_a_box_is_drawn_and_sent_by_keyboard_alone(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = with_answer(visit(site.address, **DESKTOP), ill_photo)
    page.locator("[data-wrong] > summary").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="I'll draw it").focus()
    page.keyboard.press("Enter")
    add = page.get_by_role("button", name="Add a box in the middle")
    expect(add).to_be_enabled()
    add.focus()
    page.keyboard.press("Enter")
    box = page.locator(".be-box").nth(2)
    expect(box).to_be_focused()
    expect(box).to_have_attribute("aria-label", re.compile(re.escape(BANANA.title(4)) + ", box 3 of 3"))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")  # lets the box go, and not the window
    expect(page.locator("dialog[open]")).to_have_count(1)
    page.get_by_role("button", name="Send these 3 boxes").focus()
    page.keyboard.press("Enter")
    expect(page.locator(SAID)).to_contain_text("You drew 3 boxes.")


def test_everything_but_drawing_works_without_scripts(site: Site, visit: Visit, ill_photo: Path) -> None:
    page = visit(site.address, **PHONE, java_script_enabled=False)
    page.set_input_files("#choose", ill_photo)
    page.get_by_role("button", name="Send this photo").click()
    own = the_id(page)
    page.locator("[data-wrong] > summary").click()
    assert page.locator("[data-draw]").is_hidden()
    page.get_by_role("button", name=BANANA.title(2)).click()
    page.wait_for_url("**/answers/*#words")
    expect(page.locator(SAID)).to_have_text(f"It is {BANANA.title(2)}.")
    page.get_by_role("button", name="Ask an expert").click()
    page.get_by_text("An expert was asked.").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Ask an expert").wait_for()
    page.get_by_role("button", name="No", exact=True).click()
    page.get_by_text("You said no").wait_for()
    assert words(site, own)[0].status == "pending"
