"""A stored answer in words: boxes in percent, the surest on top, nothing claimed that was not said."""

from __future__ import annotations

from typing import Any

import pytest

from leafloop import taxonomy
from leafloop.web import answers
from leafloop.web.contexts import AnswerCard, AnswerView
from leafloop.web.rendering import html
from leafloop.web.words_contexts import WordsView

BANANA = taxonomy.load()
WORST = 4
NAMES = BANANA.class_names
NOTHING_SAID = WordsView(
    id="0b2f",
    outcome="diseased",
    marked=True,
    said=None,
    before=(),
    reply=None,
    choices=(),
    consent=None,
    own=True,
    form_token="t",
    editor={},
)


def an_answer(**changes: Any) -> dict[str, Any]:
    """The body of /predict, as it is stored: two lesions on a photo of 400 x 200 pixels."""
    return {
        "success": True,
        "prediction_id": "0b2f",
        "user_id": None,
        "image_size": {"width": 400, "height": 200},
        "class_id": WORST,
        "class_name": NAMES[WORST],
        "confidence": 0.87,
        "reliable": True,
        "outcome": "diseased",
        "advice": "Remove the leaf.",
        "quality": {"warnings": [{"code": "dark", "message": "Too dark."}]},
        "detections": [
            {"class_id": 4, "class_name": NAMES[4], "confidence": 0.87, "bbox": {"x1": 0, "y1": 0, "x2": 40, "y2": 20}},
            {
                "class_id": 2,
                "class_name": NAMES[2],
                "confidence": 0.3,
                "bbox": {"x1": 300, "y1": 150, "x2": 400, "y2": 200},
            },
        ],
        "model": {"name": "tiny", "version": "3", "bundle": "ab"},
        "timings_ms": {},
        **changes,
    }


def seen(**changes: Any) -> AnswerView:
    return answers.view(an_answer(**changes), BANANA, answers.Beside())


def said(**changes: Any) -> str:
    return " ".join(html(AnswerCard(answer=seen(**changes), words=NOTHING_SAID)).split())


def test_a_box_is_in_percent_of_the_photo_and_says_where_it_is() -> None:
    weak, sure = seen().boxes
    assert (sure.left, sure.top, sure.width, sure.height, sure.place) == (0, 0, 10, 10, "top-left")
    assert (weak.left, weak.top, weak.width, weak.height, weak.place) == (75, 75, 25, 25, "bottom-right")


def test_the_surest_box_is_painted_last_and_is_number_one() -> None:
    assert [(box.number, box.percent) for box in seen().boxes] == [(2, 30), (1, 87)]


@pytest.mark.parametrize(
    ("x", "y", "place"),
    [(50, 50, "middle"), (50, 10, "top"), (10, 50, "middle-left"), (90, 10, "top-right"), (50, 90, "bottom")],
)
def test_a_place_is_one_of_nine(x: float, y: float, place: str) -> None:
    box = {"x1": 4 * x - 1, "y1": 2 * y - 1, "x2": 4 * x + 1, "y2": 2 * y + 1}
    assert (
        seen(detections=[{"class_id": 1, "class_name": NAMES[1], "confidence": 0.5, "bbox": box}]).boxes[0].place
        == place
    )


def test_the_legend_counts_each_class_in_the_order_of_the_class_set() -> None:
    assert [(entry.title, entry.count) for entry in seen().legend] == [(BANANA.title(2), 1), (BANANA.title(4), 1)]


def test_letters_on_a_colour_can_be_read() -> None:
    """WCAG 1.4.3 on every colour of the class set, for bold letters of 13 px: 4.5 to 1."""
    for class_id, kind in enumerate(BANANA.classes):
        d = {
            "class_id": class_id,
            "class_name": kind.name,
            "confidence": 0.5,
            "bbox": {"x1": 0, "y1": 0, "x2": 9, "y2": 9},
        }
        (box,) = seen(detections=[d]).boxes
        assert contrast(box.colour, box.ink) >= 4.5, kind.name


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_no_answer_is_ever_a_hundred_percent_sure() -> None:
    assert answers.percent(0.9999) == 99
    assert answers.percent(0.0) == 0


def test_a_diseased_leaf_is_said_with_its_stage_how_sure_and_whose_advice() -> None:
    words = said()
    assert BANANA.title(WORST) in words
    assert "Very sure: 87%" in words
    assert "Remove the leaf." in words
    assert f"Words by {BANANA.advice.author}, version {BANANA.advice.version}." in words
    assert "No agronomist has reviewed these words yet." in words
    assert "Too dark." in words


def test_reviewed_advice_says_when() -> None:
    reviewed = BANANA.advice.model_copy(update={"reviewed": "2026-03-01"})
    words = AnswerCard(answer=answers.view(an_answer(), replaced(reviewed), answers.Beside()), words=NOTHING_SAID)
    assert "Reviewed by an agronomist on 2026-03-01." in html(words)
    assert "No agronomist" not in html(words)


def replaced(advice: taxonomy.Advice) -> taxonomy.Taxonomy:
    return taxonomy.Taxonomy.from_dict({**BANANA.as_dict(), "advice": advice.model_dump()})


@pytest.mark.parametrize(
    ("confidence", "words"), [(0.72, "Fairly sure: 72%"), (0.55, "Somewhat sure: 55%"), (0.31, "Hardly sure: 31%")]
)
def test_how_sure_is_a_word_and_a_number(confidence: float, words: str) -> None:
    assert words in said(confidence=confidence)


def test_without_advice_the_reason_is_said() -> None:
    assert "because the answer is not sure enough" in said(advice=None, reliable=False, confidence=0.4)
    assert "There is no advice for this answer yet." in said(advice=None)


@pytest.mark.parametrize(
    ("outcome", "headline"), [("uncertain", "We are not sure"), ("no_leaf", "We see no leaf in this photo")]
)
def test_an_open_answer_never_sounds_like_health(outcome: str, headline: str) -> None:
    nothing = {"class_id": None, "class_name": None, "advice": None, "reliable": False, "detections": []}
    words = said(outcome=outcome, confidence=0.2, **nothing)
    assert headline in words
    assert "sure: 20%" not in words
    healthy = next(c for c in BANANA.classes if c.healthy)
    assert healthy.title["en"] not in words
    assert "No sign of" not in words


def test_weak_hints_on_an_open_answer_are_called_so() -> None:
    assert "too weak for an answer" in said(
        outcome="uncertain", class_id=None, class_name=None, advice=None, reliable=False
    )
    assert "too weak for an answer" not in said()


def test_a_class_of_an_older_class_set_keeps_the_name_that_was_said() -> None:
    assert seen(class_id=99, class_name="Wilt").title == "Wilt"
    assert seen(class_id=WORST, class_name="Wilt").title == "Wilt"


def test_what_people_typed_is_text() -> None:
    evil = "<script>alert(1)</script>"
    beside = answers.Beside(group=evil, location=evil, file_name=evil)
    page = html(AnswerCard(answer=answers.view(an_answer(user_id=evil), BANANA, beside), words=NOTHING_SAID))
    assert evil not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 4
