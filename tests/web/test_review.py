"""Ines decides a hundred photos in a sitting: by keyboard, by mouse, by finger; each photo is one reviewer's at a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect
from tests.web.conftest import PHONE, Site, Visit, Watched
from tests.web.waiting import (
    STAGE,
    arrived,
    decided,
    item_of,
    labels,
    logged_in,
    looking,
    photos_wait,
    reviewing,
    reviews,
    shown,
    wait_for,
)

from leafloop import taxonomy
from leafloop.learning.review.worth import Reason
from leafloop.learning.words.feedback import Author, Word, submit
from leafloop.storage.tables import Prediction, ReviewItem

BANANA = taxonomy.load()
NAMES = BANANA.class_names
LEAF = ()  # no lesion: the tiny model is unsure of it


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a point of the photo is on the screen."""
    box = page.locator("#photo img").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"] / 512, box["y"] + y * box["height"] / 512


def said(page: Page) -> str:
    return page.locator("#you-say").inner_text()


# By keyboard


def test_ten_simple_photos_take_at_most_two_keys_each(review_site: Site, visit: Visit, watched: Watched) -> None:
    waiting = photos_wait(review_site, 10)
    page = reviewing(review_site, visit)
    page.evaluate("() => { window.pressed = 0; addEventListener('keydown', () => { pressed += 1; }, true); }")
    done = []
    for keys in [("Enter",)] * 6 + [("3", "Enter"), ("n", "Enter"), ("l", "Enter"), ("x",)]:
        done.append(looking(page))
        press(page, *keys)
        decided(page, done[-1])
    expect(page.locator("#nothing")).to_be_visible()
    arrived(page)
    assert done == waiting
    assert page.evaluate("pressed") <= 2 * len(waiting)
    kept = labels(review_site)
    assert [kept[one].outcome for one in waiting[:9]] == ["diseased"] * 7 + ["healthy", "no_leaf"]
    assert [kept[one].strength for one in waiting[:9]] == ["strong"] * 6 + ["weak"] + ["strong"] * 2
    assert (kept[waiting[6]].class_name, kept[waiting[7]].bbox_data) == (NAMES[3], [])
    assert waiting[9] not in kept
    assert all(
        review.seconds is not None and review.seconds < 60 for one in waiting for review in reviews(review_site, one)
    )
    assert watched.console == []


def test_a_held_key_decides_one_photo(review_site: Site, visit: Visit) -> None:
    waiting = photos_wait(review_site, 3)
    page = reviewing(review_site, visit)
    looking(page)
    page.keyboard.down("Enter")
    for _ in range(3):
        page.keyboard.down("Enter")  # what a keyboard does with a key that is held
    decided(page, waiting[0])
    assert looking(page) == waiting[1]


def test_a_digit_names_the_selected_box_and_without_one_the_photo(review_site: Site, visit: Visit) -> None:
    (one,) = photos_wait(review_site, 1)
    page = reviewing(review_site, visit)
    looking(page)
    press(page, "Tab", "5")
    assert said(page).lower() == BANANA.title(5)
    expect(page.locator("#send-words")).to_have_text("Send correction")
    press(page, "Escape", "6")
    assert said(page).lower() == BANANA.title(6)
    expect(page.locator("#weak")).to_contain_text("only the class will be kept")
    press(page, "5", "Enter")
    arrived(page)
    (label,) = [labels(review_site)[one]]
    assert (label.class_name, label.strength) == (NAMES[5], "strong")
    assert sorted(box["class_name"] for box in label.bbox_data or []) == sorted([NAMES[5], NAMES[STAGE]])


def test_an_unsure_answer_has_to_be_said(review_site: Site, visit: Visit) -> None:
    (one,) = photos_wait(review_site, 1, lesions=((STAGE, (40, 40, 120, 100)),), code="uncertain")
    page = reviewing(review_site, visit)
    looking(page)
    press(page, "Tab", "Delete", "Enter")
    expect(page.locator("#line")).to_contain_text("No box is left")
    assert shown(page) == one
    press(page, "n", "Enter")
    arrived(page)
    assert labels(review_site)[one].outcome == "healthy"


def test_undo_brings_the_photo_and_what_was_said_of_it_back(review_site: Site, visit: Visit) -> None:
    waiting = photos_wait(review_site, 3)
    page = reviewing(review_site, visit)
    looking(page)
    press(page, "6", "Enter")
    decided(page, waiting[0])
    arrived(page)
    assert labels(review_site)[waiting[0]].class_name == NAMES[6]
    press(page, "u")
    decided(page, waiting[1])
    assert looking(page) == waiting[0]
    expect(page.locator("#line")).to_have_text("Your last decision is taken back.")
    assert said(page).lower() == BANANA.title(6)
    assert reviews(review_site, waiting[0]) == []
    press(page, "4", "Enter")
    decided(page, waiting[0])
    assert looking(page) == waiting[1]  # the one that was in hand comes next
    arrived(page)
    assert labels(review_site)[waiting[0]].class_name == NAMES[4]


def test_single_keys_can_be_switched_off(review_site: Site, visit: Visit) -> None:
    (one,) = photos_wait(review_site, 1)
    page = reviewing(review_site, visit)
    looking(page)
    press(page, "?")
    expect(page.get_by_role("dialog")).to_contain_text("take the last decision back")
    page.get_by_label("Single keys work").uncheck()
    press(page, "Escape", "x", "s")
    assert shown(page) == one
    assert reviews(review_site, one) == []


def test_words_go_back_to_the_person_who_asked(review_site: Site, visit: Visit) -> None:
    (one,) = photos_wait(review_site, 1, code="asked", due_at=datetime.now(UTC) + timedelta(days=2))
    page = reviewing(review_site, visit)
    looking(page)
    expect(page.get_by_role("list", name="Why this photo is here")).to_contain_text(
        re.compile("Asked by a person, due")
    )
    press(page, "c")
    page.keyboard.type("Cut it today, 3 leaves")  # no letter and no digit of it decides anything
    press(page, "Escape", "Enter")
    arrived(page)
    assert [(review.decision, review.comment) for review in reviews(review_site, one)] == [
        ("accept", "Cut it today, 3 leaves")
    ]


# By mouse, by finger


def test_a_box_is_drawn_and_accepted_by_mouse(review_site: Site, visit: Visit) -> None:
    (one,) = photos_wait(review_site, 1)
    page = reviewing(review_site, visit)
    looking(page)
    page.mouse.move(*on_screen(page, 200, 200))
    page.mouse.down()
    page.mouse.move(*on_screen(page, 260, 280), steps=4)
    page.mouse.up()
    expect(page.locator("#box-list li")).to_have_count(3)
    page.locator("#send").click()
    arrived(page)
    label = labels(review_site)[one]
    (drawn,) = [box["bbox"] for box in label.bbox_data or [] if 150 < box["bbox"]["x1"] < 250]
    assert [drawn[edge] for edge in ("x1", "y1", "x2", "y2")] == pytest.approx([200, 200, 260, 280], abs=3)


def test_a_photo_is_decided_by_finger_on_a_phone(review_site: Site, visit: Visit) -> None:
    waiting = photos_wait(review_site, 2)
    page = reviewing(review_site, visit, **PHONE)
    looking(page)
    line = page.context.new_cdp_session(page)
    for kind, x, y in (("touchStart", 200, 200), ("touchMove", 240, 240), ("touchMove", 300, 300), ("touchEnd", 0, 0)):
        at = on_screen(page, x, y)
        points = [] if kind == "touchEnd" else [{"x": at[0], "y": at[1]}]
        line.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(page.locator("#box-list li")).to_have_count(3)
    page.locator("[data-class='5']").tap()  # the new box is selected: it is named
    expect(page.locator("#you-say")).to_have_text(BANANA.title(5))
    page.locator("#send").tap()
    decided(page, waiting[0])
    arrived(page)
    label = labels(review_site)[waiting[0]]
    assert (label.class_name, len(label.bbox_data or [])) == (NAMES[5], 3)


def test_the_slider_hides_and_accept_all_above_drops_until_it_is_undone(review_site: Site, visit: Visit) -> None:
    (one,) = photos_wait(review_site, 1)
    with review_site.parts.ledger.transaction() as session:  # a weak hint beside a sure lesion
        prediction = session.get(Prediction, one)
        boxes = [dict(box) for box in prediction.bbox_data]
        boxes[1]["confidence"] = 0.3
        prediction.bbox_data = boxes
    page = reviewing(review_site, visit)
    looking(page)
    page.locator("#slider").fill("50")
    expect(page.locator("#accept-above")).to_have_text(re.compile("Keep 1, drop 1"))
    expect(page.locator(".be-box:visible")).to_have_count(1)
    press(page, "a")
    expect(page.locator("#box-list li")).to_have_count(1)
    press(page, "z")
    expect(page.locator("#box-list li")).to_have_count(2)
    press(page, "a", "]", "Enter")  # nothing is below: nothing is dropped
    arrived(page)
    assert len(labels(review_site)[one].bbox_data or []) == 2


def test_zooming_in_fetches_the_whole_photo(review_site: Site, visit: Visit) -> None:
    (one,) = photos_wait(review_site, 1)
    page = reviewing(review_site, visit)
    looking(page)
    photo = page.locator("#photo img")
    expect(photo).to_have_attribute("src", f"/answers/{one}/photo?size=view")
    before = photo.bounding_box()
    press(page, "+")
    expect(photo).to_have_attribute("src", re.compile(f"/answers/{one}/photo$"))
    after = photo.bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] == pytest.approx(1.5 * before["width"], rel=0.02)
    press(page, "f")
    expect(photo).to_have_js_property("naturalWidth", 512)


# Two people, a bad line, a reload


def test_two_reviewers_never_get_one_photo(review_site: Site, visit: Visit) -> None:
    waiting = photos_wait(review_site, 4)
    pages = [reviewing(review_site, visit, label) for label in ("Ines", "Tomas")]
    while not all(
        item_of(review_site, one).leased_by for one in waiting
    ):  # each has one before the eyes and one in hand
        pages[0].wait_for_timeout(50)
    seen: list[str] = []
    for _ in range(2):
        for page in pages:
            seen.append(looking(page))
            press(page, "Enter")
            decided(page, seen[-1])
    assert sorted(seen) == sorted(waiting)
    for page in pages:
        arrived(page)
    assert [len(reviews(review_site, one)) for one in waiting] == [1] * 4


def test_what_somebody_else_decided_first_is_said_and_the_next_one_comes(review_site: Site, visit: Visit) -> None:
    waiting = photos_wait(review_site, 2)
    page = reviewing(review_site, visit)
    looking(page)
    with review_site.parts.ledger.transaction() as session:  # the lease ran out over lunch
        item = session.get(ReviewItem, item_of(review_site, waiting[0]).id)
        item.leased_until = datetime.now(UTC) - timedelta(minutes=1)
    with logged_in(review_site, label="Tomas") as tomas:
        case = tomas.get("/review/next.json").json()
        assert case["prediction"]["id"] == waiting[0]
        body = {"version": case["version"], "decision": "accept"}
        assert tomas.post(f"/review/items/{case['item_id']}/decision", json=body).status_code == 200
    press(page, "6", "Enter")
    decided(page, waiting[0])
    expect(page.locator("#line")).to_contain_text("Somebody else has decided on the photo before")
    assert looking(page) == waiting[1]
    assert labels(review_site)[waiting[0]].class_name == NAMES[STAGE]


def test_a_decision_waits_for_the_network_and_says_so(review_site: Site, visit: Visit) -> None:
    waiting = photos_wait(review_site, 3)
    page = reviewing(review_site, visit)
    looking(page)
    page.wait_for_function(
        "() => performance.getEntriesByType('resource').filter(r => r.name.includes('size=view')).length > 1"
    )
    page.context.set_offline(True)
    press(page, "Enter")
    decided(page, waiting[0])
    expect(page.locator("#sending")).to_contain_text("No network. 1 kept here")
    assert reviews(review_site, waiting[0]) == []
    page.context.set_offline(False)
    arrived(page)
    expect(page.locator("#sending")).to_be_hidden()
    assert [review.decision for review in reviews(review_site, waiting[0])] == ["accept"]


def test_changed_boxes_survive_a_reload(review_site: Site, visit: Visit) -> None:
    waiting = photos_wait(review_site, 2)
    page = reviewing(review_site, visit)
    looking(page)
    press(page, "Tab", "Delete")
    expect(page.locator("#box-list li")).to_have_count(1)
    page.reload()
    assert looking(page) == waiting[0]
    expect(page.locator("#box-list li")).to_have_count(1)
    expect(page.locator("#line")).to_have_text("Your unfinished changes to this photo were kept.")


def test_decisions_that_wait_go_up_as_their_own_reviewers_or_not_at_all(review_site: Site, visit: Visit) -> None:
    waiting = photos_wait(review_site, 2)
    page = reviewing(review_site, visit, "Ines")
    looking(page)
    ines = page.context.cookies()
    with logged_in(review_site, label="Tomas") as tomas:
        cookies = [{"name": one.name, "value": one.value, "url": review_site.address} for one in tomas.cookies.jar]
    page.context.add_cookies(cookies)  # in another tab of the same browser
    press(page, "Enter")
    expect(page.locator("#sending")).to_contain_text("Log in again in another tab; 1 kept here.")
    page.goto(f"{review_site.address}/review")
    expect(page.locator("#nothing")).to_be_visible()  # she has both in hand
    page.wait_for_timeout(500)  # he opens the page: nothing of hers goes up by that
    assert reviews(review_site, waiting[0]) == []
    page.context.add_cookies(ines)
    page.goto(f"{review_site.address}/review")
    arrived(page)
    assert [review.reviewer for review in reviews(review_site, waiting[0])] == ["Ines"]


def test_a_box_is_drawn_and_the_view_panned_by_keyboard_alone(review_site: Site, visit: Visit) -> None:
    (one,) = photos_wait(review_site, 1)
    page = reviewing(review_site, visit)
    looking(page)
    photo = page.locator("#photo img")
    press(page, "+", "+", "+")
    before = photo.bounding_box()
    press(page, "ArrowRight", "ArrowDown")
    expect(page.locator("#box-list li")).to_have_count(2)
    page.wait_for_function(
        "was => document.querySelector('#photo img').getBoundingClientRect().x < was", arg=before["x"]
    )
    after = photo.bounding_box()
    assert (before["x"] - after["x"], before["y"] - after["y"]) == pytest.approx((80, 80), abs=1)
    press(page, "b", "5", "Shift+ArrowRight", "ArrowUp")
    expect(page.locator("#box-list li")).to_have_count(3)
    press(page, "Enter")
    arrived(page)
    label = labels(review_site)[one]
    (drawn,) = [box["bbox"] for box in label.bbox_data or [] if box["class_name"] == NAMES[5]]
    assert drawn["x2"] - drawn["x1"] > drawn["y2"] - drawn["y1"] > 10
    assert 100 < drawn["x1"] < drawn["x2"] < 512


# Second opinions


def test_a_second_opinion_is_blind_and_a_dispute_shows_both(review_site: Site, visit: Visit) -> None:
    (one,) = photos_wait(review_site, 1)
    page = reviewing(review_site, visit, "Ines")
    looking(page)
    press(page, "o")
    expect(page.locator("#second")).to_have_attribute("aria-pressed", "true")
    press(page, "Enter")
    arrived(page)
    page = reviewing(review_site, visit, "Tomas")
    looking(page)
    expect(page.locator("#blind")).to_be_visible()
    expect(page.locator("#opinions")).to_be_hidden()
    press(page, "6", "Enter")
    arrived(page)
    assert item_of(review_site, one).state == "disputed"
    # With nobody else there the page may have taken the dispute itself; once it has, or has not, its lease runs out.
    expect(page.locator("#nothing:visible, #opinions:visible")).to_have_count(1)
    with review_site.parts.ledger.transaction() as session:
        session.get_one(ReviewItem, item_of(review_site, one).id).leased_until = None
    page = reviewing(review_site, visit, "Rosa")
    looking(page)
    expect(page.locator(".opinion")).to_have_count(2)
    expect(page.locator(".opinion-boxes.solid .edge")).to_have_count(2)
    page.get_by_role("button", name="Start from it").nth(1).click()
    assert said(page).lower() == BANANA.title(6)
    press(page, "Enter")
    arrived(page)
    assert item_of(review_site, one).state == "done"


def test_what_people_said_is_shown_and_their_boxes_can_be_used(review_site: Site, visit: Visit) -> None:
    (one,) = photos_wait(review_site, 1)
    drawn = {"class_id": 5, "class_name": NAMES[5], "bbox": {"x1": 10, "y1": 10, "x2": 90, "y2": 90}}
    with review_site.parts.ledger.transaction() as session:
        prediction = session.get(Prediction, one)
        word = Word(False, correct_class_name=NAMES[5], corrected_boxes=(drawn,), comment="a halo", source="page")
        submit(session, BANANA, prediction, Author(prediction.key_id, "amina"), word)
    wait_for(review_site, one, Reason("contradiction", f"{NAMES[4]}, {NAMES[5]}"))
    page = reviewing(review_site, visit)
    looking(page)
    reasons = page.get_by_role("list", name="Why this photo is here")
    expect(reasons).to_contain_text(f"Two people disagree: {BANANA.title(4)}, {BANANA.title(5)}")
    expect(page.locator("#words")).to_contain_text(f"amina: wrong, it is {BANANA.title(5)}")
    expect(page.locator("#words q")).to_have_text("a halo")
    page.get_by_role("button", name="Use these boxes").click()
    expect(page.locator("#box-list li")).to_have_count(1)
    press(page, "Enter")
    arrived(page)
    assert labels(review_site)[one].class_name == NAMES[5]
