"""The page says every kind of problem, with its severity and its option."""

from __future__ import annotations

import re
from pathlib import Path

from leafloop.learning.datasets.formats import KINDS
from leafloop.learning.datasets.formats.problems import as_label, problem

PAGE = Path(__file__).resolve().parents[4] / "docs/DATASETS.md"


def test_docs_has_a_line_for_every_kind_with_its_option():
    told = re.findall(r"^\| `(\w+)` \| (error|warning) \| .* \| (.*?) ?\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [(code, severity) for code, severity, _ in told] == [(code, kind.severity) for code, kind in KINDS.items()]
    assert [code for code, _, option in told if KINDS[code].option and str(KINDS[code].option) not in option] == []


def test_words_of_a_dataset_are_escaped_and_cut():
    told = problem("box_malformed", "a\x1b[2J\n" + "x" * 1000, "\0")
    assert told.place.startswith("a\\x1b[2J\\nxxx")
    assert (len(told.place), told.detail) == (500, "\\x00")
    assert as_label("Bananenblätter 香蕉 😀") == "Bananenblätter 香蕉 😀"
