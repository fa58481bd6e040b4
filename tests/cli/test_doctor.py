"""`leafloop doctor` and `leafloop db`: what is wrong, and how to mend it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.cli.conftest import Leafloop


def test_a_fresh_home_is_well(leafloop: Leafloop) -> None:
    done = leafloop("doctor", "--json", LEAFLOOP_PORT="18999")
    assert done.code == 0, done.out + done.err
    findings = {finding["check"]: finding for finding in done.json}
    assert {"settings", "taxonomy", "disk", "database", "objects", "model", "codecs", "port"} <= set(findings)
    assert all(set(f) == {"check", "ok", "detail", "mend"} and f["ok"] for f in done.json)


def test_an_object_store_that_cannot_be_written_is_named_with_its_mend(leafloop: Leafloop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = leafloop("doctor", "--json", LEAFLOOP_BLOBS_URL=(tmp_path / "file" / "blobs").as_uri())
    assert done.code == 1
    (objects,) = [finding for finding in done.json if finding["check"] == "objects"]
    assert not objects["ok"]
    assert "LEAFLOOP_BLOBS_URL" in objects["mend"]


def test_a_schema_that_is_not_known_is_refused_with_the_command_that_mends_it(leafloop: Leafloop, home: Path) -> None:
    assert leafloop("db", "upgrade").code == 0
    with sqlite3.connect(home / "leafloop.db") as ledger:
        ledger.execute("update alembic_version set version_num = 'from-the-future'")
    done = leafloop("models", "list")
    assert done.code == 78
    assert "schema_unknown" in done.err
    assert "leafloop db upgrade" in done.err
    assert leafloop("doctor").code == 1


def test_the_schema_goes_down_and_up_again(leafloop: Leafloop) -> None:
    newest = leafloop("db", "upgrade", "--json").json
    assert newest["revision"] == newest["newest"]
    assert leafloop("db", "downgrade", "base", "--yes", "--json").json["revision"] is None
    assert leafloop("db", "upgrade", "--json").json == newest
    assert leafloop("db", "status", "--json").json == newest
