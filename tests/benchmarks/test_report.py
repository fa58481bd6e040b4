"""From figures to a table and a page: every figure that was promised is there, and no number is typed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmarks import report, rounds

LAPS = {"decode": 40.0, "tile": 15.0, "infer": 600.0, "merge": 3.0, "verdict": 9.0, "other": 1.0, "to_verdict": 668.0}


def figures() -> dict[str, Any]:
    """What a run writes, with made-up numbers."""
    split = {**LAPS, "store": 30.0, "wall": 698.0}
    step = {
        "share_of_saturation": 1.5, "photos_s": 2.0, "sent": 60, "accepted": 40, "refused_503": 20, "failed": 0,
        "p50_ms": 900.0, "p95_ms": 4000.0, "p99_ms": 5000.0, "max_ms": 5000.0, "refused_p99_ms": None, "health_p99_ms": 6.0,
    }  # fmt: skip
    moved = {"changed": 0.5, "moved": 0.01, "wrong": 0.02}
    return {
        "quick": False,
        "turns": {"tiles": 9, "photos": 6},
        "precision": "bf16",
        "machine": {"processor": "a processor", "cores": 2, "flags": ["avx2"], "load_before": 0.1, "measured_at": "2026-01-02T"},
        "versions": {"sahi": "0.12.8"},
        "tiles_s": {"Leafloop": 300.0, "the other": 10.0},
        "cpu_ms_a_tile": {"Leafloop": 6.6, "the other": 190.0},
        "photo_ms": {kind: {report.TO_VERDICT: 668.0, "SAHI": 4000.0} for kind in ("all leaf", "half empty")},
        "split_ms": {"all leaf": split},
        "load": {
            "saturation_photos_s": 1.3,
            "pinned": "neither",
            "steps": [step],
            "memory_mb": {"idle": 300, "loaded": 800, "after": 500},
        },
        "seams": {
            "photos": 60, "lesions": 7000, "offsets": [[0, 0], [1, 1]], "bundled_photos": 12,
            "exact": {"Leafloop": moved}, "bundled": {"Leafloop": moved},
        },
        "ratio_usual_736": 36.2,
        "share_of_peak": 0.59,
        "rss_mb_loaded": 800,
    }  # fmt: skip


def test_every_promised_figure_has_a_bar():
    promised = {"ratio_usual_736", "ratio_usual_256", "ratio_sahi_photo", "ratio_supervision_photo"}
    promised |= {"ratio_sahi_half_empty", "share_of_peak", "rss_mb_loaded"}
    assert promised <= {bar.key for bar in report.BARS}


def test_a_bar_is_met_missed_or_not_measured_and_the_table_says_which():
    lines = {line.split("`")[1]: line for line in report.markdown(figures()).splitlines() if line.startswith("| `")}
    assert "| 36.2 " in lines["ratio_usual_736"]
    assert "| met " in lines["ratio_usual_736"]
    assert "**not met**" in lines["share_of_peak"]
    assert "not measured" in lines["ratio_usual_256"]


def test_the_bundled_models_seams_stand_beside_those_of_the_merging_alone():
    seams = [
        line
        for line in report.markdown(figures()).splitlines()
        if "exact detector" in line or "with the bundled" in line
    ]
    assert len(seams) == 2
    assert "| 0.5 " in seams[1]


def test_a_table_of_a_run_without_load_and_seams_has_neither():
    short = {key: value for key, value in figures().items() if key not in ("load", "seams")}
    assert "Poisson" in report.markdown(figures())
    assert "Poisson" not in report.markdown(short)


def test_ratios_in_the_tables_are_computed_from_the_same_figures():
    text = report.markdown(figures())
    assert "| the other | 10.0    | 30.0 " in text
    assert f"{4000 / 668:.1f}" in text


def test_the_page_gets_the_figures_between_its_marks_and_keeps_the_rest(tmp_path: Path):
    page = tmp_path / "BENCHMARKS.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", "utf-8")
    report.write_into(page, figures())
    once = page.read_text("utf-8")
    assert once.startswith("before\n")
    assert once.endswith(f"{report.END}\nafter\n")
    assert "old" not in once
    report.write_into(page, figures())
    assert page.read_text("utf-8") == once


def test_a_page_without_marks_is_left_alone(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("no marks", "utf-8")
    with pytest.raises(ValueError, match="no place"):
        report.write_into(page, figures())


def test_the_projects_page_has_a_place_for_figures():
    text = (Path(__file__).parents[2] / "docs" / "BENCHMARKS.md").read_text("utf-8")
    assert text.count(report.BEGIN) == text.count(report.END) == 1


def test_ways_take_turns_and_each_begins_a_round():
    order: list[str] = []
    ways = [rounds.Way(name, lambda name=name: order.append(name), warm=lambda: order.append("warm")) for name in "abc"]
    found = rounds.take_turns(ways, 3, before=lambda number: order.append(str(number)))
    assert [step for step in order if step != "warm"] == ["0", *"abc", "1", *"bca", "2", *"cab"]
    assert order.count("warm") == 9
    assert {len(times) for times in (*found.wall.values(), *found.cpu.values())} == {3}


def test_a_ratio_is_of_medians_so_that_one_bad_round_says_nothing():
    assert rounds.ratio({"ours": [1, 1, 50], "theirs": [5, 6, 100]}, "theirs", "ours") == 6
