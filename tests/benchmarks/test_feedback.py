"""The benchmark of words runs, and counts what it kept."""

from __future__ import annotations

from pathlib import Path

from benchmarks import feedback
from sqlalchemy import func, select

from leafloop.storage.tables import Feedback


def test_what_is_measured_is_kept(tmp_path: Path) -> None:
    with feedback._opened(f"sqlite:///{tmp_path / 'leafloop.db'}") as ledger:
        with ledger.transaction() as session:
            ids = [feedback.an_answer(session, key_id=feedback.KEY).id for _ in range(5)]
        figures = feedback._measure(ledger, "SQLite", "spread", ids, threads=2, seconds=0.5)
        with ledger.reading() as session:
            kept = session.scalar(select(func.count()).select_from(Feedback)) or 0
    assert figures.refused == 0
    assert 0 < kept <= figures.per_second * 0.5 + 0.5
    assert 0 < figures.p50_ms <= figures.p99_ms
