"""`leafloop data import` and `export`, as a person and a program use them."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Leafloop
from tests.learning.dataset_files import write, yolo, zipped
from typer.testing import CliRunner

from leafloop.cli import app

BOX = "1 0.5 0.5 0.2 0.5\n"


def test_a_dataset_goes_in_and_out_again(leafloop: Leafloop, tmp_path: Path):
    write(tmp_path / "set", yolo({"train/a": BOX + BOX.replace("0.5 0.5", "0.2 0.3"), "valid/b": ""}))
    done = leafloop("data", "import", tmp_path / "set", "--keep-splits", "--json")
    assert done.code == 0, done.err
    assert (done.json["photos"], done.json["labels"]) == (2, 2)
    assert all(problem["severity"] == "warning" for problem in done.json["problems"])
    assert leafloop("data", "import", tmp_path / "set", "--json").json["photos"] == 0
    done = leafloop("data", "export", tmp_path / "out", "--format", "yolo", "--json")
    assert (done.code, done.json["photos"], done.json["boxes"], done.json["empty"]) == (0, 2, 2, 1)
    assert leafloop("data", "export", tmp_path / "out").code == 1


def test_what_is_refused_ends_with_1_and_every_reason(leafloop: Leafloop, home: Path, tmp_path: Path):
    path = zipped(
        tmp_path / "set.zip",
        yolo({"train/a": "1 nan 0.5 0.1 0.1\n1 2 2 0.1 0.1\n", "train/b": None}, ("a", "[red]Mild")),
    )
    done = leafloop("data", "import", path, "--json")
    assert done.code == 1
    assert (done.json["photos"], done.json["labels"]) == (0, 0)
    found = {problem["code"]: problem for problem in done.json["problems"] if problem["severity"] == "error"}
    assert set(found) == {"box_not_finite", "box_empty", "missing_label", "class_unmapped"}
    assert found["box_not_finite"]["place"] == "train/labels/a.txt:1"
    assert "dataset_rejected" in done.err
    assert "--map '[red]Mild='" in done.err
    seen = leafloop("data", "import", path)
    assert seen.code == 1
    assert "[red]Mild" in seen.out
    assert "train/labels/a.txt:1" in seen.out
    assert list((home / "cache/bundles").glob(".fetch-import-*")) == []


def test_options_repair_what_they_name(leafloop: Leafloop, tmp_path: Path):
    write(
        tmp_path / "set",
        yolo(
            {"train/a": BOX + "1 0.99 0.5 0.1 0.1\n", "train/b": None, "train/c": "0 0.5 0.5 0.2 0.2\n"},
            ("Functional", "Mild"),
        ),
    )
    words = ("--map", "Functional=Healthy", "--map", "Mild=Stage4", "--clip", "--missing-is-empty")
    dry = leafloop("data", "import", tmp_path / "set", *words, "--dry-run", "--json")
    assert (dry.code, dry.json["photos"], dry.json["import_id"]) == (0, 3, None)
    done = leafloop("data", "import", tmp_path / "set", *words, "--json")
    assert (done.code, done.json["photos"], done.json["labels"]) == (0, 3, 3)
    assert done.json["classes"]["Mild"]["class"] == "Stage4"


def run(home: Path, *words: str | Path) -> tuple[int, str]:
    """The command in this process: exit code, and what it says on stderr."""
    done = CliRunner().invoke(app, [*map(str, words)], env={"LEAFLOOP_HOME": str(home)})
    return done.exit_code, done.stderr


def test_a_dry_run_of_what_would_be_refused_ends_with_1(home: Path, tmp_path: Path):
    write(tmp_path / "set", yolo({"train/a": None}))
    assert run(home, "data", "import", tmp_path / "set", "--dry-run", "--json")[0] == 1


def test_options_that_cannot_be_are_usage(home: Path, tmp_path: Path):
    write(tmp_path / "set", yolo({"train/a": BOX}))
    assert run(home, "data", "import", tmp_path / "set", "--map", "Mild")[0] == 2
    assert run(home, "data", "import", tmp_path / "set", "--format", "voc")[0] == 2
    assert run(home, "data", "import", tmp_path / "nowhere")[0] == 2
    assert run(home, "data", "export", tmp_path / "out", "--split", "exam")[0] == 2
    assert run(home, "data", "import", tmp_path / "set", "--map", "Mild=Stage9")[0] == 1
