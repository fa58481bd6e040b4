"""`leafloop data purge | erase | person | csv`: what they say to people and to programs, and how they end."""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.live import people
from tests.live.people import BEN
from typer.testing import CliRunner

from leafloop.cli import keeping
from leafloop.live.parts import Store, open_store
from leafloop.settings import Settings
from leafloop.storage.tables import Prediction, now

OLD = now() - timedelta(days=100)
app = typer.Typer()
for name in ("purge", "erase", "person", "csv"):
    app.command(name)(getattr(keeping, name))


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Data = Callable[..., Said]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store of the home that the commands find, without a model: bringing one takes longer than all else here."""
    home = tmp_path / "home"
    monkeypatch.setenv("LEAFLOOP_HOME", str(home))
    monkeypatch.setattr(keeping, "open_store", lambda chosen: open_store(chosen, bundled=tmp_path / "none"))
    with open_store(Settings(home=home), bundled=tmp_path / "none") as opened:
        yield opened


@pytest.fixture
def data(store: Store, monkeypatch: pytest.MonkeyPatch) -> Data:
    """`data(*words, **environment)`: as `leafloop data WORDS`."""

    def run(*words: str | Path, **environment: str) -> Said:
        done = CliRunner().invoke(app, [str(word) for word in words], env=environment)
        return Said(done.exit_code, done.stdout, done.stderr)

    return run


def test_purge_says_what_would_go_then_does_it(store: Store, data: Data) -> None:
    people.send(store, b"old", at=OLD)
    waits = people.send(store, b"labelled", at=OLD)
    people.label(store, waits)
    keep = {"LEAFLOOP_KEEP_PHOTOS_DAYS": "30"}
    would = data("purge", "--dry-run", "--json", **keep).json
    assert would["removed"]["answers"] == 1
    assert would["stays"] == [{"what": "answers", "why": "a label is about their photos", "count": 1}]
    assert people.count(store, Prediction) == 2
    said = data("purge", **keep)
    assert said.code == 0
    assert "1 answers went" in said.err
    assert "1 answers are old enough and stay: a label is about their photos." in said.err
    assert people.count(store, Prediction) == 1
    assert "kept for ever" in data("purge").err


def test_erase_asks_first_and_does_nothing_without_a_yes(store: Store, data: Data) -> None:
    people.send(store, b"ana's")
    asked = data("erase", "--user-id", "ana.cruz", "--reason", "request 17")
    assert asked.code == 1
    assert "1 answers" in asked.err
    assert people.count(store, Prediction) == 1
    done = data("erase", "--user-id", "ana.cruz", "--reason", "request 17", "--yes", "--json")
    assert done.json["removed"]["answers"] == 1
    assert done.json["dry_run"] is False
    assert people.count(store, Prediction) == 0
    again = data("erase", "--user-id", "ana.cruz", "--reason", "request 17", "--yes", "--json")
    assert (again.code, set(again.json["removed"].values())) == (0, {0})


def test_erase_of_one_photo_lists_the_snapshots_that_saw_it(store: Store, data: Data) -> None:
    people.label(store, people.send(store, b"ana's"))
    snapshot = people.freeze(store)
    sha = people.received(b"ana's")
    would = data("erase", "--photo", sha, "--reason", "request 17", "--dry-run", "--json").json
    assert (would["removed"]["tombstones"], would["snapshots"][0]["hash"], would["models"]) == (1, snapshot, [])
    said = data("erase", "--photo", sha, "--reason", "request 17", "--yes")
    assert "1 tombstones" in said.err
    assert "Backups still hold it" in said.err


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        ((), 2, "--user-id NAME or --photo"),
        (("--user-id", "a", "--photo", "0" * 64), 2, "--user-id NAME or --photo"),
        (("--photo", "../etc"), 1, "SHA-256"),
    ],
)
def test_erase_is_told_one_thing_and_in_its_form(data: Data, words: tuple[str, ...], code: int, word: str) -> None:
    said = data("erase", "--reason", "request 17", "--yes", *words)
    assert said.code == code
    assert word in said.err


def test_a_person_gets_all_that_is_kept_about_them_and_their_photos(store: Store, data: Data, tmp_path: Path) -> None:
    answer, bens = people.send(store, b"\xff\xd8\xffana's"), people.send(store, b"ben's", BEN)
    people.say(store, bens)
    people.label(store, answer)
    people.freeze(store)
    out, folder = tmp_path / "ana.json", tmp_path / "photos"
    words = ("person", "--user-id", "ana.cruz", "--out", out, "--photos", folder, "--json")
    summary = data(*words).json
    assert (summary["counts"]["predictions"], summary["counts"]["feedback"], summary["copied"]) == (1, 1, 1)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    document = json.loads(out.read_text("utf-8"))
    assert document["predictions"][0]["id"] == answer
    assert document["photos"][0]["url"] == f"/api/v1/db/predictions/{answer}/photo"
    assert len(document["labels"]) == len(document["snapshots"]) == 1
    (photo,) = folder.iterdir()
    assert photo.name == f"{people.received(photo.read_bytes())}.jpg"
    assert "ben" not in out.read_text("utf-8")
    assert json.loads(data("person", "--user-id", "ana.cruz", "--json").out)["user_id"] == "ana.cruz"
    assert data("person", "--user-id", "nobody", "--json").json["predictions"] == []


def test_a_table_comes_as_csv_on_stdout_or_in_a_file(store: Store, data: Data, tmp_path: Path) -> None:
    people.send(store, b"old", at=OLD)
    people.send(store, b"young", ("fekey123", "=cmd|' /C calc'!A0"))
    rows = list(csv.DictReader(io.StringIO(data("csv", "predictions").out, newline="")))
    assert [row["user_id"] for row in rows] == ["ana.cruz", "'=cmd|' /C calc'!A0"]
    out = tmp_path / "out.csv"
    day = now().date().isoformat()
    assert data("csv", "predictions", "--since", day, "--bom", "--out", out, "--json").json["rows"] == 1
    assert out.read_bytes().startswith(b'\xef\xbb\xbf"id",')
    assert data("csv", "secrets").code == 1
    assert data("csv", "labels", "--since", "yesterday").code == 1
    assert data("csv", "labels", "--json").code == 2
