"""The benchmark of large snapshots runs, and what it says is so; here on a few labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import snapshots


@pytest.mark.slow
def test_a_small_run_says_all_its_figures(tmp_path: Path) -> None:
    figures = snapshots.measure(400, None, tmp_path)
    assert figures["first"]["photos"] == 400
    assert (figures["first"]["is_new"], figures["again"]["is_new"]) == (True, False)
    assert figures["again"]["hash"] == figures["first"]["hash"]
    assert figures["difference"] | {"seconds": 0} == {"seconds": 0, "added": 4, "removed": 0, "moved": 0}
    assert figures["copies_found"] >= 0.9
    assert figures["first"]["peak_rss_mb"] < 600
