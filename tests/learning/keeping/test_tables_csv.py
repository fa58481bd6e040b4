"""Tables as CSV: no cell runs, numbers stay numbers, and a long table needs no more memory than a short one."""

from __future__ import annotations

import csv
import io
import re
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.live import people

from leafloop.learning.keeping import tables_csv
from leafloop.live.parts import Store
from leafloop.storage.tables import Feedback

# What is sent, and what is written: nowhere where a cell may begin to somebody's spreadsheet does a formula stand.
TRIGGERS = {
    "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t'=1", "\r=1": "'\r'=1",
    "＝1": "'＝1", "＋1": "'＋1", "－1": "'－1", "＠A1": "'＠A1",
    "hola;=HYPERLINK(1)": "hola;'=HYPERLINK(1)", "hola; =1": "hola;' =1", 'hola;"=1"': "hola;'\"=1\"", "a\t+1": "a\t'+1",
    "a\n@x\n-1": "a\n'@x\n'-1", " =1": "' =1", '"=1': "'\"=1",
}  # fmt: skip
A_CELL_BEGINS = re.compile(r"[;\t\r\n]")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'a.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with people.store_at(url, tmp_path) as opened:
        yield opened


def written(store: Store, kind: str, **how: Any) -> list[dict[str, str]]:
    out = io.StringIO(newline="")
    tables_csv.write(store.ledger, kind, out, **how)
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))


@pytest.mark.parametrize(("text", "kept"), TRIGGERS.items())
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str, kept: str) -> None:
    assert tables_csv.cell(text) == kept


@pytest.mark.parametrize("text", ["plot 3; row 4", "1-2", "a=b", "ana@farm", "5 + 3", "'=1", "Stage2 -> Stage3"])
def test_a_text_that_nothing_would_run_stays_as_it_is(text: str) -> None:
    assert tables_csv.cell(text) == text


@pytest.mark.parametrize("value", [-1, -0.5, 0, 3.25, 10**12])
def test_a_number_stays_a_number(value: float) -> None:
    assert tables_csv.cell(value) == value


def test_other_values_have_one_plain_form() -> None:
    assert tables_csv.cell(None) == ""
    assert (tables_csv.cell(True), tables_csv.cell(False)) == ("true", "false")
    assert tables_csv.cell([{"a": "ä"}]) == '[{"a": "ä"}]'
    assert tables_csv.cell(datetime(2026, 11, 27, tzinfo=UTC)) == "2026-11-27T00:00:00+00:00"


def runs(text: str) -> bool:
    """Whether a spreadsheet of any language would take a part of a cell for a formula."""
    begins = (part.strip().strip('"').strip() for part in A_CELL_BEGINS.split(text))
    return any(part.startswith(tuple("=+-@＝＋－＠")) for part in begins)


@given(st.text(st.sampled_from("=+-@＝;\t\r\n \"',ab1")) | st.text())
def test_no_text_at_all_begins_a_formula(text: str) -> None:
    kept = str(tables_csv.cell(text))
    assert not runs(kept)
    assert kept.replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize("kind", list(tables_csv.KINDS))
def test_every_text_of_a_table_is_safe_and_comes_back_by_any_reader(store: Store, kind: str) -> None:
    for number, trigger in enumerate(TRIGGERS):
        said = f'{trigger},"quoted"; and ä'
        answer = people.send(store, b"%d" % number, ("fekey123", said))
        people.say(store, answer, ("fekey123", said))
        people.label(store, answer)
    rows = written(store, kind)
    assert {row["user_id"] for row in rows} == {f'{kept},"quoted"; and ä' for kept in TRIGGERS.values()}
    assert not any(runs(value) for row in rows for name, value in row.items() if name != "bbox_data")


def test_rows_come_once_each_oldest_first_also_over_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables_csv, "PAGE", 2)
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    ids = [people.send(store, b"%d" % n, at=noon + timedelta(days=n // 2)) for n in range(6)]
    rows = written(store, "predictions")
    assert sorted(row["id"] for row in rows) == sorted(ids)
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
    assert len(written(store, "predictions", since=noon + timedelta(days=1))) == 4


def test_an_empty_table_is_its_first_line_and_a_mark_where_it_is_wanted(store: Store) -> None:
    out = io.StringIO(newline="")
    assert tables_csv.write(store.ledger, "feedback", out, bom=True) == 0
    assert out.getvalue().startswith('\ufeff"id","prediction_id",')
    assert out.getvalue().endswith("\r\n")


def test_memory_stays_flat(tmp_path: Path) -> None:
    with people.store_at(f"sqlite:///{tmp_path / 'a.db'}", tmp_path) as store:
        answer = people.send(store, b"one")
        with store.ledger.transaction() as session:
            words = (
                {"prediction_id": answer, "feedback_source": "api", "user_comment": "x" * 500} for _ in range(10_000)
            )
            session.execute(Feedback.__table__.insert(), list(words))  # type: ignore[attr-defined]
        tracemalloc.start()
        with (tmp_path / "out.csv").open("w", newline="") as out:
            assert tables_csv.write(store.ledger, "feedback", out) == 10_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (tmp_path / "out.csv").stat().st_size > 6_000_000
    assert peak < 6_000_000  # two pages of rows, not ten
