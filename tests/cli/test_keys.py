"""`leafloop keys`: made, listed without secrets, revoked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.cli.conftest import Leafloop


def test_a_key_is_shown_once_and_kept_hashed(leafloop: Leafloop, home: Path) -> None:
    made = leafloop("keys", "create", "--role", "field", "--label", "Ana's phone", "--json").json
    assert set(made) == {"id", "key", "role"}
    assert re.fullmatch(rf"lf_{made['id']}_[A-Za-z0-9_-]{{40,}}", made["key"])
    listed = leafloop("keys", "list", "--json")
    assert made["key"] not in listed.out
    assert [(row["id"], row["role"], row["label"]) for row in listed.json] == [(made["id"], "field", "Ana's phone")]
    secret = made["key"].rsplit(made["id"] + "_")[1].encode()
    assert secret not in b"".join(path.read_bytes() for path in home.glob("leafloop.db*"))


def test_a_revoked_key_stays_in_the_list_as_revoked(leafloop: Leafloop) -> None:
    made = leafloop("keys", "create", "--role", "operator", "--json").json
    assert leafloop("keys", "revoke", made["id"]).code == 0
    (row,) = leafloop("keys", "list", "--json").json
    assert row["revoked_at"]


def test_revoking_an_unknown_key_is_an_error(leafloop: Leafloop) -> None:
    done = leafloop("keys", "revoke", "zzzzzzzz")
    assert done.code == 1
    assert "not_found" in done.err


def test_an_unknown_role_is_a_usage_error_that_lists_the_roles(leafloop: Leafloop) -> None:
    done = leafloop("keys", "create", "--role", "admin")
    assert done.code == 2
    assert "operator" in done.err


def test_a_qr_code_needs_the_address_that_phones_reach(leafloop: Leafloop) -> None:
    done = leafloop("keys", "create", "--role", "field", "--qr")
    assert done.code == 78
    assert "LEAFLOOP_PUBLIC_URL" in done.err
    assert leafloop("keys", "list", "--json").json == []


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_qr_code_is_for_people_and_the_key_stays_alone_on_stdout(leafloop: Leafloop, form: list[str]) -> None:
    done = leafloop("keys", "create", "--role", "field", "--qr", *form, LEAFLOOP_PUBLIC_URL="https://leaf.example")
    assert done.code == 0, done.err
    assert done.json["key"] if form else done.out.startswith("lf_")
