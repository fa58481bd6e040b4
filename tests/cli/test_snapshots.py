"""`leafloop data snapshot | list | show | diff | verify`, as the data group will have them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.hostile import encode, photo
from tests.learning.labelled import Labelled
from typer.testing import CliRunner, Result

from leafloop.cli import snapshots as commands
from leafloop.storage.blobs import open_blobs
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Tombstone

app = typer.Typer()
app.command("snapshot")(commands.snapshot)
app.command("list")(commands.list_snapshots)
app.command("show")(commands.show)
app.command("diff")(commands.diff)
app.command("verify")(commands.verify)

Data = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def data(home: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    monkeypatch.setenv("LEAFLOOP_HOME", str(home))
    monkeypatch.setattr("leafloop.live.parts._bring_bundled", lambda *_: None)  # no model is needed here
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.fixture
def labels(home: Path) -> Iterator[Labelled]:
    """Twenty labels with real photos, in the home."""
    home.mkdir(mode=0o700)
    ledger = Ledger(f"sqlite:///{home / 'leafloop.db'}")
    ledger.upgrade()
    place = Labelled(ledger, open_blobs((home / "blobs").as_uri()))
    for n in range(20):
        # Of a dataset: its files keep their names in a manifest, people's photos do not.
        place.add(f"p{n}", 1 + n % 3, source="import", stored=place.blobs.put(encode(photo(), "PNG") + bytes([n])))
    yield place
    ledger.close()


def _json(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return _told(done)


def _told(done: Result) -> Any:
    return json.loads(
        done.stdout.splitlines()[-1]
    )  # the log, which goes elsewhere in a process of its own, stands before it


def test_it_is_made_listed_and_shown_by_a_part_of_its_hash(data: Data, labels: Labelled) -> None:
    made = _json(data("snapshot", "--name", "first", "--json"))
    assert made["photos"] == 20 == sum(made["splits"].values())
    assert {"hash", "splits", "left_out", "classes"} <= set(made)
    (listed,) = _json(data("list", "--json"))
    assert (listed["hash"], listed["name"]) == (made["hash"], "first")
    shown = _json(data("show", made["hash"][:10], "--json"))
    assert shown["hash"] == made["hash"]
    assert len(shown["photos"]) == 20
    assert {"sha256", "split", "group", "source", "name", "labels"} <= set(shown["photos"][0])
    assert made["hash"] in data("snapshot").stdout
    assert "p3.jpg" in data("show", made["hash"]).stdout


def test_a_weak_label_is_shown_with_its_class_and_without_a_box(data: Data, labels: Labelled) -> None:
    labels.add("weak", 2, source="import", strength="weak", bbox_data=None)
    made = _json(data("snapshot", "--json"))
    (weak,) = [each for each in _json(data("show", made["hash"], "--json"))["photos"] if each["name"] == "weak.jpg"]
    assert weak["strength"] == "weak"
    assert [label["bbox"] for label in weak["labels"]] == [None]


def test_what_the_gate_holds_is_exit_3_with_every_reason_and_a_dry_run_makes_nothing(data: Data, home: Path) -> None:
    home.mkdir(mode=0o700)
    held = data("snapshot", "--json")
    assert held.exit_code == 3
    assert "no photo" in _told(held)["error"]["detail"]
    assert _json(data("list", "--json")) == []


def test_a_minimum_that_is_not_met_holds_it(data: Data, labels: Labelled) -> None:
    held = data("snapshot", "--min-test", "500")
    assert held.exit_code == 3
    assert "needs 500" in held.output
    assert _json(data("snapshot", "--min-test", "500", "--allow-small", "--dry-run", "--json"))["photos"] == 20
    assert _json(data("list", "--json")) == []


def test_a_difference_says_what_was_added_removed_and_relabelled(data: Data, labels: Labelled) -> None:
    first = _json(data("snapshot", "--json"))["hash"]
    added = labels.add("new")
    gone = next(sha for sha, name in labels.names.items() if name == "p4")
    other = next(sha for sha, name in labels.names.items() if name == "p5")
    labels.change(gone, is_validated=False)
    labels.change(other, bbox_data=[])
    second = _json(data("snapshot", "--json"))["hash"]
    found = _json(data("diff", first, second, "--json"))
    assert (found["added"], found["removed"], found["moved"]) == ([added], [gone], [])
    assert [each["sha256"] for each in found["relabelled"]] == [other]
    assert found["relabelled"][0]["after"]["labels"] == []
    assert "1 added" in data("diff", first[:8], second[:8]).output


def test_verify_finds_the_bit_that_rotted_and_says_which_photo_it_is(data: Data, labels: Labelled, home: Path) -> None:
    made = _json(data("snapshot", "--json"))
    assert data("verify").exit_code == 0
    with labels.ledger.reading() as session:
        from sqlalchemy import select

        from leafloop.storage.tables import TrainingData

        key = session.scalar(select(TrainingData.image_path).where(TrainingData.name == "p7.jpg"))
    path = home / "blobs" / str(key)[:2] / str(key)[2:4] / str(key)
    whole = path.read_bytes()
    path.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    done = data("verify", made["hash"][:12], "--json")
    assert done.exit_code == 1
    (fault,) = _told(done)["faults"]
    assert (fault["what"], fault["key"], fault["fault"], fault["name"]) == ("photo", key, "rotten", "p7.jpg")
    labels.blobs.put(whole)
    assert data("verify").exit_code == 0


def test_verify_finds_a_rotten_part_and_a_lost_manifest(data: Data, labels: Labelled, home: Path) -> None:
    made = _json(data("snapshot", "--json"))
    with labels.ledger.reading() as session:
        from leafloop.storage import snapshots

        part = snapshots.newest(session)[0].parts[3]
    (home / "blobs" / part[:2] / part[2:4] / part).write_bytes(b"{}\n")
    labels.blobs.delete(made["hash"])
    done = data("verify", "--json")
    found = {(fault["what"], fault["key"], fault["fault"]) for fault in _told(done)["faults"]}
    assert found == {("part", part, "rotten"), ("manifest", made["hash"], "missing")}


def test_a_photo_that_was_erased_for_good_is_no_fault(data: Data, labels: Labelled) -> None:
    made = _json(data("snapshot", "--json"))
    erased = _json(data("show", made["hash"], "--json"))["photos"][0]
    with labels.ledger.transaction() as session:
        session.add(
            Tombstone(image_hash=erased["sha256"], stored_sha256=erased["stored_sha256"], reason="x", actor="t")
        )
    labels.blobs.delete(erased["stored_sha256"])
    found = _json(data("verify", "--json"))
    assert (found["photos"], found["erased"], found["faults"]) == (20, 1, [])


@pytest.mark.parametrize(
    ("name", "says"), [("ffff", "not_found"), ("xyz", "request_invalid"), ("abc", "request_invalid")]
)
def test_a_name_that_is_no_snapshots_is_told_so(data: Data, labels: Labelled, name: str, says: str) -> None:
    done = data("show", name)
    assert done.exit_code == 1
    assert says in done.output
