"""Generated pages are current, and what the pages name exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]


def test_generated_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"run 'make docs': {done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    relative = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in relative if not (page.parent / link).exists()] == []


def test_every_row_of_the_checklist_that_is_closed_says_where() -> None:
    rows = [
        line.split("|")
        for line in (ROOT / "docs/CHECKLIST.md").read_text("utf-8").splitlines()
        if re.match(r"\| \d", line)
    ]
    assert len(rows) > 35
    assert {row[3].strip() for row in rows} <= {"open", "closed"}
    assert [row[2] for row in rows if row[3].strip() == "closed" and len(row[4].strip()) < 5] == []


def test_the_checklist_names_only_tests_that_exist() -> None:
    text = (ROOT / "docs/CHECKLIST.md").read_text("utf-8")
    assert [name for name in re.findall(r"`(tests/[\w/.]+)`", text) if not (ROOT / name).exists()] == []


def test_every_column_says_what_it_means() -> None:
    from scripts import data_schema

    assert data_schema.without_meaning() == []


def test_every_table_is_in_the_dictionary_and_in_its_diagram() -> None:
    text = (ROOT / "docs/DATA_SCHEMA.md").read_text("utf-8")
    diagram, _, tables = text.partition("```mermaid\n")[2].partition("\n```\n")
    named = re.findall(r"^### (\w+)$", tables, re.MULTILINE)
    assert {"photos", "predictions", "feedback", "training_data", "snapshots", "tombstones"} <= set(named)
    assert len(named) == len(set(named))
    assert all(set(re.findall(r"^    (\w+) .* (\w+) :", line)[0]) <= set(named) for line in diagram.splitlines()[1:])


@pytest.mark.parametrize("picture", sorted((ROOT / "docs/pictures").glob("stage-*.jpg")), ids=lambda path: path.name)
def test_a_picture_of_a_stage_is_small_enough_for_a_field_phone(picture: Path) -> None:
    assert picture.read_bytes().startswith(b"\xff\xd8\xff")
    assert picture.stat().st_size < 60_000
