"""The forms of the answer card as HTTP sees them: whose word it is, what is refused, and that it is said once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.web.conftest import Site
from tests.web.test_words import decide, words


@pytest.fixture(scope="module")
def maria(keyed_site: Site) -> Iterator[httpx.Client]:
    with logged_in(keyed_site, "field") as client:
        yield client


@contextmanager
def logged_in(site: Site, role: str) -> Iterator[httpx.Client]:
    """Somebody at a browser, with a key of their own."""
    headers = {"accept": "text/html", "sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=site.address, timeout=30, headers=headers) as client:
        client.post("/login", data={"key": site.key(role)[1]})
        yield client


@pytest.fixture(scope="module")
def unsaid(maria: httpx.Client, ill_photo: Path) -> str:
    """An answer of which nothing is ever said."""
    return sent(maria, ill_photo)


def sent(client: httpx.Client, photo: Path) -> str:
    reply = client.post("/photos", files={"file": ("leaf.jpg", photo.read_bytes())}, data={"user_id": "maria"})
    return str(reply.headers["location"])


def test_the_author_is_the_key_and_who_sent_the_photo(keyed_site: Site, maria: httpx.Client, ill_photo: Path) -> None:
    own = sent(maria, ill_photo)
    assert maria.post(f"{own}/words", data={"said": "right"}).status_code == 303
    with logged_in(keyed_site, "reviewer") as expert:
        assert "Is this right?" in expert.get(own).text  # another's word is not his
        assert expert.post(f"{own}/words", data={"said": "no_leaf"}).status_code == 303
        assert expert.post(f"{own}/consent", data={"consent": "true"}).status_code == 404  # not his photo
        assert "May this photo be used" not in expert.get(own).text
    first, second = words(keyed_site, own.removeprefix("/answers/"))
    assert (first.user_id, second.user_id) == ("maria", None)
    assert first.key_id != second.key_id
    assert {first.status, second.status} == {"pending"}


def test_somebody_elses_answer_is_not_there(keyed_site: Site, unsaid: str) -> None:
    form = {"said": "right", "consent": "true"}
    with logged_in(keyed_site, "field") as stranger:
        for answer in (unsaid, "/answers/nothing", "/answers/00000000-0000-4000-8000-000000000000"):
            for path in ("words", "words/undo", "consent"):
                assert stranger.post(f"{answer}/{path}", data=form).status_code == 404
    assert words(keyed_site, unsaid.removeprefix("/answers/")) == []


@pytest.mark.parametrize("path", ["words", "words/undo", "consent"])
def test_another_sites_form_is_refused(maria: httpx.Client, unsaid: str, path: str) -> None:
    form = {"said": "right", "consent": "true"}
    assert maria.post(f"{unsaid}/{path}", data=form, headers={"sec-fetch-site": "cross-site"}).status_code == 403


@pytest.mark.parametrize(
    "form",
    [
        {}, {"said": "perhaps"}, {"said": "class"}, {"class_name": "StageNine"}, {"said": "remark", "comment": "  "},
        {"said": "remark", "rating": "6"}, {"said": "remark", "comment": "x" * 2001}, {"said": "remark", "comment": "a\0b"},
        {"said": "boxes"}, {"said": "boxes", "boxes": "{}"}, {"said": "boxes", "boxes": "[1]"}, {"said": "boxes", "boxes": "[{}]"},
        {"said": "boxes", "boxes": '[{"class_id": 2, "bbox": {"x1": NaN, "y1": 0, "x2": 9, "y2": 9}}]'},
        {"said": "boxes", "boxes": '[{"class_id": 2, "bbox": {"x1": 600, "y1": 0, "x2": 700, "y2": 9}}]'},
        {"said": "boxes", "boxes": '[{"class_id": 99, "bbox": {"x1": 6, "y1": 0, "x2": 70, "y2": 9}}]'},
        {"said": "boxes", "boxes": "[" * 20000},
    ],
    ids=lambda form: str(form)[:40],
)  # fmt: skip
def test_what_is_no_word_is_refused_and_leaves_nothing(
    maria: httpx.Client, keyed_site: Site, unsaid: str, form: dict[str, str]
) -> None:
    told = maria.post(f"{unsaid}/words", data=form, headers={"Leafloop-Partial": "1"})
    assert told.status_code in (400, 422)
    assert told.headers["Leafloop-Partial"] == "1"
    assert words(keyed_site, unsaid.removeprefix("/answers/")) == []


def test_a_form_sent_twice_says_it_once(keyed_site: Site, maria: httpx.Client, ill_photo: Path) -> None:
    own = sent(maria, ill_photo)
    for said in ("right", "no_leaf", "right", "no_leaf"):
        maria.post(f"{own}/words", data={"said": said, "form_token": "one-page"})
    assert len(words(keyed_site, own.removeprefix("/answers/"))) == 2
    key = {"Idempotency-Key": "from-the-outbox"}
    assert maria.post(f"{own}/words", data={"said": "nothing"}, headers=key).status_code == 303
    assert maria.post(f"{own}/words", data={"said": "right"}, headers=key).status_code == 422


def test_the_rating_says_how_sure_its_author_is(site: Site, ill_photo: Path) -> None:
    with httpx.Client(base_url=site.address, timeout=30, headers={"sec-fetch-site": "same-origin"}) as maria:
        own = sent(maria, ill_photo)
        assert "How sure are you?" in maria.get(own).text
        maria.post(f"{own}/words", data={"said": "remark", "rating": "4"})
        assert "How sure: 4 of 5" in maria.get(own).text


def test_a_thank_you_after_the_reply_is_no_new_question_and_a_new_question_is_one(site: Site, ill_photo: Path) -> None:
    with httpx.Client(base_url=site.address, timeout=30, headers={"sec-fetch-site": "same-origin"}) as maria:
        own = sent(maria, ill_photo)
        prediction_id = own.removeprefix("/answers/")
        maria.post(f"{own}/words", data={"said": "right"})
        maria.post(f"{own}/words", data={"said": "expert"})
        decide(site, prediction_id, decision="accept")
        maria.post(f"{own}/words", data={"said": "remark", "comment": "thank you"})
        assert [(word.status, word.ask_expert) for word in words(site, prediction_id)][-1] == ("accepted", False)
        assert "An expert has replied" in maria.get("/answers").text
        maria.post(f"{own}/words", data={"said": "expert"})
        assert [(word.status, word.ask_expert) for word in words(site, prediction_id)][-1] == ("accepted", True)
        card = maria.get(own).text
        assert "The reply will stand here" in card
        assert "An expert was asked" in maria.get("/answers").text
        decide(site, prediction_id, decision="accept", comment="As I said.")
        assert "As I said." in maria.get(own).text
