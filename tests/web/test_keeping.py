"""Amina deletes an answer on its page; a refusal is said in her language; a reviewer answers doubts about labels."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect
from sqlalchemy import select
from tests.web.conftest import Site, Visit, jpeg
from tests.web.waiting import HTML, STAGE, labels, logged_in, photos_wait, reviewing

from leafloop import taxonomy
from leafloop.storage import audit
from leafloop.storage.tables import PhotoSide, Snapshot, SnapshotPhoto, SplitGroup, TrainingData
from leafloop.web import refusals
from leafloop.web.languages import translations

NAMES = taxonomy.load().class_names


def test_an_answer_is_deleted_on_its_own_page_after_it_said_what_goes(
    site: Site, visit: Visit, ill_photo: Path
) -> None:
    page = visit(site.address)
    page.set_input_files("#choose", ill_photo)
    page.get_by_role("button", name="Send this photo").click()
    expect(page.locator("[data-answer]")).to_be_visible()
    before, gone = site.rows(), site.newest().id
    page.goto(f"{site.address}/answers/{gone}")
    expect(page.get_by_role("button", name="Delete for good")).to_be_hidden()
    page.get_by_text("Delete this answer").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("heading", name="Deleted")).to_be_visible()
    assert site.rows() == before - 1
    page.goto(f"{site.address}/answers/{gone}")
    expect(page.get_by_role("heading", name="Nothing grows here")).to_be_visible()
    with site.parts.ledger.reading() as session:
        assert audit.newest_of(session, action="prediction.delete", subject=gone) is not None


def test_what_a_frozen_snapshot_holds_stays_and_the_page_says_so(keyed_site: Site) -> None:
    with logged_in(keyed_site, "field") as amina:
        place = amina.post("/photos", files={"file": ("a.jpg", jpeg(grain=3))}, headers=HTML).headers["location"]
        row = keyed_site.newest()
        with keyed_site.parts.ledger.transaction() as session:
            frozen = {"photos": 1, "splits": {}, "options": {}, "report": {}, "parts": [], "actor": "test"}
            session.add(Snapshot(hash="4f0c" * 16, **frozen))
            session.add(SplitGroup(id=row.image_hash, split="train"))
            session.flush()
            session.add(PhotoSide(image_hash=row.image_hash, group_id=row.image_hash, split="train"))
            session.flush()
            photo = {"image_hash": row.image_hash, "stored_sha256": row.image_path, "group_id": row.image_hash}
            session.add(SnapshotPhoto(snapshot_hash="4f0c" * 16, split="train", **photo))
        said = amina.post(f"{place}/delete", headers={**HTML, "accept-language": "es"})
        assert said.status_code == 200
        assert "4f0c4f0c4f0c" in said.text
        assert "conjunto congelado" in said.text


def test_nobody_deletes_somebody_elses_answer_nor_from_another_site(keyed_site: Site) -> None:
    with logged_in(keyed_site, "field") as amina:
        place = amina.post("/photos", files={"file": ("a.jpg", jpeg(grain=5))}, headers=HTML).headers["location"]
        forged = amina.post(f"{place}/delete", headers={**HTML, "sec-fetch-site": "cross-site"})
        assert forged.status_code == 403
        with logged_in(keyed_site, "reviewer") as ines:
            assert ines.post(f"{place}/delete", headers=HTML).status_code == 404
        assert amina.get(place, headers=HTML).status_code == 200


# Refusals


@pytest.mark.parametrize(("code", "words"), [("es", "El archivo no es una imagen"), ("fil", "Hindi litrato ang file")])
def test_what_is_refused_is_said_in_the_pages_language(site: Site, code: str, words: str) -> None:
    asked = {"accept-language": code, "leafloop-partial": "1", "sec-fetch-site": "same-origin"}
    said = httpx.post(f"{site.address}/photos", files={"file": ("a.jpg", b"Dear diary")}, headers=asked)
    assert said.status_code == 415
    assert words in said.text
    assert "picture" not in said.text
    login = httpx.post(f"{site.address}/login", data={"key": "lf_wrong"}, headers={**HTML, "accept-language": code})
    assert login.status_code == 401
    assert "key" not in re.sub(r"<[^>]*>", "", login.text.split('class="card problem"')[1].split("</div>")[0]).lower()


@pytest.mark.parametrize("code", ["es", "fil"])
def test_every_refusal_has_a_title_and_what_to_do_in_every_language(code: str) -> None:
    for message in refusals.messages().values():
        said = translations(code).gettext(message)
        assert said != message
        assert said.count(". ") >= min(1, message.count(". "))


# Doubts


def test_a_doubt_is_answered_on_the_list_and_a_label_of_a_dataset_corrected_there(
    review_site: Site, visit: Visit
) -> None:
    ids = photos_wait(review_site, 2)
    with logged_in(review_site, label="Tomas") as client:
        for _ in ids:
            case = client.get("/review/next.json").json()
            body = {"version": case["version"], "decision": "correct", "class_name": NAMES[6]}
            assert client.post(f"/review/items/{case['item_id']}/decision", json=body).status_code == 200
    with review_site.parts.ledger.transaction() as session:
        for number, label in enumerate(session.scalars(select(TrainingData)).all()):
            if label.id not in {kept.id for one, kept in labels(review_site).items() if one in ids}:
                label.is_validated = False
            else:
                label.source_id, label.source = f"dataset {number}", "import"
    page = reviewing(review_site, visit, path="/review/doubtful")
    expect(page.locator(".rows > li")).to_have_count(2)
    page.get_by_role("button", name="It is right").first.click()
    expect(page.locator(".rows > li")).to_have_count(1)
    page.get_by_label("It is something else").select_option(f"class {NAMES[STAGE]}")
    page.get_by_role("button", name="Correct", exact=True).click()
    expect(page.get_by_text("No label looks doubtful.")).to_be_visible()
    assert {labels(review_site)[one].class_name for one in ids} == {NAMES[6], NAMES[STAGE]}
    assert all(labels(review_site)[one].looked_at for one in ids)
