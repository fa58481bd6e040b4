"""Amina corrects a photo on her phone, Ines draws and accepts, the label is in the next snapshot, and its export trains an epoch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.learning.datasets.test_plantdoc import TRAIN
from tests.web.conftest import Site, Visit, jpeg, review_site, visit, watched  # noqa: F401 - fixtures
from tests.web.test_login import at
from tests.web.waiting import arrived, labels, logged_in, looking, photos_wait, reviewing, reviews

from leafloop import taxonomy
from leafloop.learning.datasets import exporting
from leafloop.learning.datasets.exporting import Wish
from leafloop.learning.snapshots import building, manifest
from leafloop.learning.snapshots.building import Options
from leafloop.storage.tables import Feedback

ROOT = Path(__file__).parents[2]
BANANA = taxonomy.load()
SAYS = 5  # the class that Amina sees where the model said another
OTHERS = 8  # photos beside hers, so that there is something on each side


@pytest.fixture
def exported(review_site: Site, visit: Visit, tmp_path: Path) -> Path:  # noqa: F811
    """The dataset that comes of it, in YOLO's layout."""
    with logged_in(review_site, label="Tomas") as tomas:
        for n in range(OTHERS):  # each another leaf: photos that look alike are one group, on one side
            x, y = 20 + 110 * (n % 4), 20 + 240 * (n // 4)
            photos_wait(review_site, 1, lesions=((4, (x, y, x + 90, y + 200)), (2, (400 - x, 20, 470 - x, 90))))
            case = tomas.get("/review/next.json").json()
            body = {"version": case["version"], "decision": "accept"}
            assert tomas.post(f"/review/items/{case['item_id']}/decision", json=body).status_code == 200
    mine = corrected_on_a_phone(review_site, visit, tmp_path)
    drawn_and_accepted(reviewing(review_site, visit, "Ines"), mine)
    label = labels(review_site)[mine]
    assert (label.class_name, label.strength, label.validated_by) == (
        BANANA.class_names[SAYS],
        "strong",
        reviews(review_site, mine)[0].key_id + "/Ines",
    )
    store = review_site.parts
    options = Options(gate=None, allow_small=True)
    made = building.make(store.ledger, store.blobs, store.taxonomy, options, actor="test")
    (line,) = [one for one in manifest.read_photos(store.blobs, made.hash) if one["sha256"] == label.image_hash]
    assert manifest.boxes(label.bbox_data) == line["labels"]
    out = tmp_path / "dataset"
    report = exporting.write_out(store.ledger, store.blobs, store.taxonomy, out, Wish("yolo", made.hash))
    assert report.photos == made.photos >= OTHERS + 1
    return out


def corrected_on_a_phone(site: Site, visit: Visit, folder: Path) -> str:  # noqa: F811
    """She photographs a leaf, and says what it is; the answer's id."""
    (folder / "leaf.jpg").write_bytes(jpeg(512, 512, (4, (40, 40, 120, 100)), grain=4))
    page = visit(f"{site.address}/login#{site.key()[1]}")
    at(page, "/")
    page.set_input_files("#take", folder / "leaf.jpg")
    page.get_by_role("button", name="Send this photo").tap()
    answer = page.locator("[data-answer]")
    expect(answer).to_be_visible()
    page.locator("[data-wrong] summary").tap()
    page.locator(f".class-list button[value='{BANANA.class_names[SAYS]}']").tap()
    expect(page.locator("[data-words]")).to_contain_text("You said")
    return answer.get_attribute("data-answer") or ""


def drawn_and_accepted(page: Page, mine: str) -> None:
    """She sees what Amina said, draws one lesion more, names both, and accepts."""
    assert looking(page) == mine
    expect(page.locator("#words")).to_contain_text(BANANA.title(SAYS))
    photo = page.locator("#photo img").bounding_box()
    assert photo is not None
    scale = photo["width"] / 512
    page.mouse.move(photo["x"] + 300 * scale, photo["y"] + 300 * scale)
    page.mouse.down()
    page.mouse.move(photo["x"] + 380 * scale, photo["y"] + 360 * scale, steps=4)
    page.mouse.up()
    expect(page.locator("#box-list li")).to_have_count(2)
    page.keyboard.press(str(SAYS))  # the new box is selected
    expect(page.locator("#you-say")).to_have_text(BANANA.title(SAYS))
    page.keyboard.press("Enter")
    arrived(page)


def test_a_correction_from_a_phone_becomes_a_photo_of_a_dataset(review_site: Site, exported: Path) -> None:  # noqa: F811
    with review_site.parts.ledger.reading() as session:
        words = session.query(Feedback).filter(Feedback.correct_class_name == BANANA.class_names[SAYS]).all()
        assert [word.status for word in words][-1] == "accepted"
    files = {path.stem: path.read_text() for path in exported.rglob("labels/**/*.txt")}
    hers = [text for text in files.values() if any(line.startswith(f"{SAYS} ") for line in text.splitlines())]
    (boxes,) = [[line.split() for line in text.splitlines()] for text in hers]
    (drawn,) = [[float(edge) for edge in box[1:]] for box in boxes if box[0] == str(SAYS)]
    assert drawn == pytest.approx([340 / 512, 330 / 512, 80 / 512, 60 / 512], abs=0.01)
    assert len(boxes) == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_dataset_trains_an_epoch(exported: Path, tmp_path: Path) -> None:
    python = Path(os.environ.get("LEAFLOOP_TRAINER_PYTHON", ROOT / ".venv-train/bin/python"))
    if (
        not python.exists()
        or subprocess.run([python, "-c", "import libreyolo, torch"], timeout=120, check=False).returncode
    ):
        pytest.skip(f"no trainer at {python}: run 'make train-env', or set LEAFLOOP_TRAINER_PYTHON")
    (tmp_path / "path").mkdir()
    (tmp_path / "path/leafloop").symlink_to(ROOT / "src/leafloop")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "path"), "OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"}
    classes = str(len(BANANA.classes))
    command = [python, "-c", TRAIN, str(exported / "data.yaml"), classes, str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, env=environ, cwd=tmp_path, check=False)
    assert "TRAINED" in done.stdout, (done.stdout + done.stderr)[-3000:]
    assert list((tmp_path / "runs").rglob("last.pt"))
