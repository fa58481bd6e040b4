"""Who may ask: Fe in the field, Rhea who reviews, Enzo the engineer, Olga the operator, and a stranger."""

from __future__ import annotations

import hmac
import re
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import itsdangerous.timed
import pytest
from scipy.stats import mannwhitneyu
from sqlalchemy import Engine, event, text

from leafloop import access
from leafloop.access import Caller
from leafloop.errors import (
    ConfigurationInvalid,
    CrossSiteRequest,
    KeyInvalid,
    KeyMissing,
    NotFound,
    RequestInvalid,
    RoleTooLow,
    Unavailable,
)
from leafloop.live.parts import Parts, open_parts
from leafloop.settings import Settings
from leafloop.storage import audit

NO_MODEL = Path("/nonexistent")


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with open_parts(Settings(home=tmp_path / "home"), bundled=NO_MODEL) as opened:
        yield opened


def make_key(parts: Parts, role: str = "field", label: str = "Fe's phone") -> tuple[str, str]:
    with parts.ledger.transaction() as session:
        return access.create_key(session, role, label)


def ask(parts: Parts, key: str) -> Caller:
    return access.authenticate(parts, header=f"Bearer {key}")


def revoke(parts: Parts, key_id: str) -> None:
    with parts.ledger.transaction() as session:
        access.revoke_key(session, key_id, actor="cli", reason="phone lost")


def audited(parts: Parts) -> list[tuple[str, str | None]]:
    with parts.ledger.reading() as session:
        return [(row.action, row.subject) for row in audit.latest(session)]


def test_a_key_has_its_id_in_it_and_lets_its_owner_in(parts: Parts) -> None:
    key_id, key = make_key(parts, "reviewer", "Rhea")
    assert re.fullmatch(rf"lf_{key_id}_[A-Za-z0-9_-]{{43}}", key)
    assert ask(parts, key) == Caller(key_id, "reviewer", "Rhea")
    assert access.authenticate(parts, header=f"bearer  {key} ").key_id == key_id


def test_the_database_never_holds_the_secret(parts: Parts) -> None:
    _, key = make_key(parts)
    kept = b"".join(path.read_bytes() for path in parts.settings.home.glob("leafloop.db*"))
    assert key.split("_", 2)[2].encode() not in kept


def test_an_unknown_id_and_a_wrong_secret_get_the_same_words(parts: Parts) -> None:
    key_id, key = make_key(parts)
    wrong = [
        f"lf_{key_id}_{'A' * 43}",
        f"lf_aaaaaaaa_{key.split('_', 2)[2]}",
        key[:-1],
        key + "A",
        "",
        "lf__",
        "é" * 60,
    ]
    said = set()
    for guess in wrong:
        with pytest.raises(KeyInvalid) as refusal:
            ask(parts, guess)
        said.add(refusal.value.detail)
    assert len(said) == 1


def test_an_unknown_id_and_a_wrong_secret_cost_the_same_work(parts: Parts) -> None:
    """Measured in statements, which a busy machine does not change: 1,500 of each were not told apart by time (p > 0.4)."""
    key_id, _ = make_key(parts)
    asked: list[str] = []
    event.listen(Engine, "before_cursor_execute", note := lambda _c, _x, statement, *_: asked.append(statement))
    try:
        for known in (key_id, "aaaaaaaa"):
            with pytest.raises(KeyInvalid):
                ask(parts, f"lf_{known}_{'A' * 43}")
            asked.append("---")
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    half = len(asked) // 2
    assert asked[:half] == asked[half:]
    assert half > 1


@pytest.mark.slow
@pytest.mark.alone
def test_an_unknown_id_and_a_wrong_secret_take_the_same_time(parts: Parts) -> None:
    """2,000 of each in turns, so that a busy machine slows both. The chance that one is the slower (Mann-Whitney's U by the number
    of pairs) is one half; 0.55 was seen, since a row that is found is read. A look or a hash spared for unknown ids makes it 0 or 1."""
    key_id, _ = make_key(parts)
    took: dict[str, list[float]] = {key_id: [], "aaaaaaaa": []}
    for _ in range(2000):
        for known, times in took.items():
            begun = time.perf_counter()
            with pytest.raises(KeyInvalid):
                ask(parts, f"lf_{known}_{'A' * 43}")
            times.append(time.perf_counter() - begun)
    slower = mannwhitneyu(*took.values()).statistic / 2000**2
    assert abs(slower - 0.5) < 0.15


def test_a_secret_is_compared_by_its_hash_in_constant_time(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    key_id, key = make_key(parts)
    compared: list[tuple[str, str]] = []
    real = hmac.compare_digest
    monkeypatch.setattr(access.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    ask(parts, key)
    for guess in (f"lf_{key_id}_{'A' * 43}", f"lf_aaaaaaaa_{'A' * 43}", "no key at all"):
        with pytest.raises(KeyInvalid):
            ask(parts, guess)
    assert len(compared) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", text) for pair in compared for text in pair)


def test_another_scheme_is_refused_and_not_taken_for_no_key(parts: Parts) -> None:
    _, key = make_key(parts)
    for header in (f"Basic {key}", key, "Bearer", ""):
        with pytest.raises(KeyInvalid):
            access.authenticate(parts, header=header)


def test_a_revoked_key_is_refused_and_both_acts_are_in_the_audit_log(parts: Parts) -> None:
    key_id, key = make_key(parts)
    revoke(parts, key_id)
    revoke(parts, key_id)  # again: nothing happens, and nothing is written
    with pytest.raises(KeyInvalid):
        ask(parts, key)
    assert sorted(audited(parts)) == [("key.create", key_id), ("key.revoke", key_id)]
    with parts.ledger.transaction() as session:
        (row,) = access.list_keys(session)
    assert (row["id"], row["label"]) == (key_id, "Fe's phone")
    assert row["revoked_at"]


def test_revoking_a_key_that_never_was_is_an_error(parts: Parts) -> None:
    with pytest.raises(NotFound):
        revoke(parts, "zzzzzzzz")


@pytest.mark.parametrize(("role", "label"), [("admin", ""), ("", ""), ("field", "x" * 101), ("field", "a\nb")])
def test_a_role_or_label_not_taken_makes_no_key(parts: Parts, role: str, label: str) -> None:
    with pytest.raises(RequestInvalid):
        make_key(parts, role, label)
    assert audited(parts) == []


def test_each_role_may_do_what_the_ones_before_it_may() -> None:
    may = {role: [r for r in access.ROLES if Caller("k", role).allows(r)] for role in access.ROLES}
    assert may == {
        "field": ["field"],
        "reviewer": ["field", "reviewer"],
        "engineer": ["field", "reviewer", "engineer"],
        "operator": ["field", "reviewer", "engineer", "operator"],
    }
    with pytest.raises(ValueError):
        Caller("k", "operator").allows("admin")


def test_a_role_too_low_and_no_key_at_all_are_two_answers() -> None:
    access.require(Caller("k", "engineer"), "reviewer")
    with pytest.raises(RoleTooLow, match="'operator'"):
        access.require(Caller("k", "engineer"), "operator")
    with pytest.raises(KeyMissing):
        access.require(Caller(None, "field", open=True), "reviewer")


@pytest.mark.parametrize(("needs", "least"), [("debug", "engineer"), ("review", "reviewer")])
def test_debug_and_review_are_for_a_role_and_for_an_open_service(needs: str, least: str) -> None:
    access.require(Caller("k", least), needs)
    access.require(Caller(None, "field", open=True), needs)
    with pytest.raises(RoleTooLow, match=least):
        access.require(Caller("k", "field"), needs)
    with pytest.raises(KeyMissing):
        access.require(Caller(None, "field"), needs)


def test_last_use_is_noted_but_not_at_every_request(parts: Parts) -> None:
    _, key = make_key(parts)

    def last_used() -> object:
        with parts.ledger.transaction() as session:
            return access.list_keys(session)[0]["last_used_at"]

    assert last_used() is None
    ask(parts, key)
    first = last_used()
    ask(parts, key)
    assert first is not None
    assert last_used() == first
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    with parts.ledger.transaction() as session:
        session.execute(
            text("update api_keys set last_used_at = :then"), {"then": an_hour_ago.replace(tzinfo=None).isoformat(" ")}
        )
    ask(parts, key)
    assert str(last_used()) >= str(first)


def test_a_database_that_is_away_lets_nobody_in(parts: Parts) -> None:
    _, key = make_key(parts)
    (parts.settings.home / "leafloop.db").rename(parts.settings.home / "gone.db")
    (parts.settings.home / "leafloop.db").mkdir()
    parts.ledger.close()
    for how in ({"header": f"Bearer {key}"}, {}):
        with pytest.raises(Unavailable):
            access.authenticate(parts, **how)


# Open mode and the first key


def test_a_service_without_keys_is_open_on_loopback_until_the_first_key_is_made(parts: Parts) -> None:
    assert access.authenticate(parts) == Caller(None, "field", "open", open=True)
    key_id, _ = make_key(parts)
    with pytest.raises(KeyMissing):
        access.authenticate(parts)
    revoke(parts, key_id)  # a service that was closed once does not open again by itself
    with pytest.raises(KeyMissing):
        access.authenticate(parts)


def test_a_wrong_key_is_refused_in_open_mode_too(parts: Parts) -> None:
    with pytest.raises(KeyInvalid):
        ask(parts, f"lf_aaaaaaaa_{'A' * 43}")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "leaf.example", "127.0.0.1.example", ""])
def test_beyond_loopback_nothing_is_open_and_nothing_listens_without_a_key(tmp_path: Path, host: str) -> None:
    settings = Settings(home=tmp_path, host=host)
    with pytest.raises(ConfigurationInvalid, match="keys create"):
        access.refuse_to_listen(settings, has_keys=False)
    access.refuse_to_listen(settings, has_keys=True)
    with open_parts(settings, bundled=NO_MODEL) as parts, pytest.raises(KeyMissing):
        access.authenticate(parts)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LocalHost"])
def test_loopback_listens_without_a_key(host: str) -> None:
    access.refuse_to_listen(Settings(host=host), has_keys=False)


def test_a_bootstrap_file_makes_the_first_operator_key_once(parts: Parts, tmp_path: Path) -> None:
    key = f"lf_firstkey_{'s' * 43}"
    file = tmp_path / "key"
    file.write_text(key + "\n")
    settings = parts.settings.model_copy(update={"bootstrap_key_file": file, "host": "0.0.0.0"})
    assert access.bootstrap_key(parts.ledger, settings) == "firstkey"
    assert ask(parts, key).role == "operator"
    file.write_text(f"lf_otherkey_{'t' * 43}")
    assert access.bootstrap_key(parts.ledger, settings) is None
    with pytest.raises(KeyInvalid):
        ask(parts, file.read_text())


@pytest.mark.parametrize(
    "held", ["", "hunter2", "lf_short_abc", "lf_firstkey_" + "s" * 42, "lf_FIRSTKEY_" + "s" * 43, None]
)
def test_a_bootstrap_file_with_anything_else_stops_the_start(parts: Parts, tmp_path: Path, held: str | None) -> None:
    file = tmp_path / "key"
    if held is not None:
        file.write_text(held)
    settings = parts.settings.model_copy(update={"bootstrap_key_file": file})
    with pytest.raises(ConfigurationInvalid, match="LEAFLOOP_BOOTSTRAP_KEY_FILE"):
        access.bootstrap_key(parts.ledger, settings)
    assert access.authenticate(parts).open


# Page logins


def test_a_login_is_believed_until_it_is_ended_and_a_copy_of_its_cookie_ends_with_it(parts: Parts) -> None:
    key_id, key = make_key(parts, "reviewer")
    caller, cookie = access.log_in(parts, f" {key}\n")
    again, other = access.log_in(parts, key)
    assert key not in cookie
    assert access.authenticate(parts, cookie=cookie) == caller
    assert (caller.key_id, caller.role) == (key_id, "reviewer")
    assert caller.session != again.session
    access.log_out(parts, caller)
    with pytest.raises(KeyInvalid, match="Log in again"):
        access.authenticate(parts, cookie=cookie)
    assert access.authenticate(parts, cookie=other) == again
    assert [action for action, _ in audited(parts)].count("login") == 2


def test_revoking_a_key_ends_its_logins(parts: Parts) -> None:
    key_id, key = make_key(parts)
    _, cookie = access.log_in(parts, key)
    revoke(parts, key_id)
    with pytest.raises(KeyInvalid):
        access.authenticate(parts, cookie=cookie)
    with pytest.raises(KeyInvalid):
        access.log_in(parts, key)


def test_a_cookie_that_was_changed_is_refused(parts: Parts) -> None:
    _, key = make_key(parts)
    make_key(parts, "operator")
    _, cookie = access.log_in(parts, key)
    for place in range(0, len(cookie) - 1, 7):  # the last character's lowest bits mean nothing in base64
        changed = cookie[:place] + ("A" if cookie[place] != "A" else "B") + cookie[place + 1 :]
        with pytest.raises(KeyInvalid):
            access.authenticate(parts, cookie=changed)
    with pytest.raises(KeyInvalid):
        access.authenticate(parts, cookie="x" * 100_000)


def test_a_cookie_of_another_installation_is_refused(parts: Parts, tmp_path: Path) -> None:
    _, key = make_key(parts)
    _, cookie = access.log_in(parts, key)
    elsewhere = parts.settings.model_copy(update={"home": tmp_path / "other"})
    (tmp_path / "other").mkdir()
    with parts.ledger.transaction() as session, pytest.raises(KeyInvalid):
        access._by_login(session, elsewhere, cookie)


def test_a_login_ends_by_itself(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    _, key = make_key(parts)
    _, cookie = access.log_in(parts, key)
    hours = parts.settings.session_hours
    now = datetime.now(UTC).timestamp()
    monkeypatch.setattr(itsdangerous.timed.time, "time", lambda: now + hours * 3600 - 60)
    access.authenticate(parts, cookie=cookie)
    monkeypatch.setattr(itsdangerous.timed.time, "time", lambda: now + hours * 3600 + 60)
    with pytest.raises(KeyInvalid, match="ended"):
        access.authenticate(parts, cookie=cookie)


def test_the_secret_that_signs_is_made_once_and_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    first = access._secret_of(tmp_path)
    access._secret_of.cache_clear()
    assert access._secret_of(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]
    access._secret_of.cache_clear()
    (tmp_path / "secret.key").write_text("short")
    with pytest.raises(ConfigurationInvalid, match="cut short"):
        access._secret_of(tmp_path)


@pytest.mark.parametrize(
    ("public", "name", "secure"), [(None, "leafloop", False), ("https://leaf.example", "__Host-leafloop", True)]
)
def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(public: str | None, name: str, secure: bool) -> None:
    options = access.cookie_options(Settings(public_url=public))
    fixed = {"httponly": True, "samesite": "lax", "path": "/", "max_age": 14 * 24 * 3600}
    assert options == {"key": name, "secure": secure, **fixed}


# Cross-site requests

PAGE = Caller("k", "operator", session="login")
OPEN = Caller(None, "field", open=True)
KEY = Caller("k", "operator")
HERE = {"host": "leaf.example:8000"}


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},  # a neighbour's sub-domain is another's page too
        {"sec-fetch-site": "cross-site", "origin": "http://leaf.example:8000"},
        {"origin": "https://evil.example"},
        {"origin": "http://leaf.example:8001"},
        {"origin": "null"},
        {"origin": ""},
    ],
)
@pytest.mark.parametrize("method", ["POST", "delete"])
def test_another_sites_page_cannot_act_in_a_persons_name(headers: dict[str, str], method: str) -> None:
    for caller in (PAGE, OPEN):
        with pytest.raises(CrossSiteRequest):
            access.refuse_cross_site(caller, method, {**HERE, **headers})
    access.refuse_cross_site(KEY, method, {**HERE, **headers})  # a stranger's page cannot send a key
    access.refuse_cross_site(PAGE, "GET", {**HERE, **headers})


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "http://leaf.example:8000"},
        {"origin": "https://LEAF.example:8000"},
    ],
)
def test_our_own_page_can(headers: dict[str, str]) -> None:
    for caller in (PAGE, OPEN):
        access.refuse_cross_site(caller, "POST", {**HERE, **headers})


def test_an_origin_that_the_operator_allowed_can() -> None:
    headers = {**HERE, "origin": "https://app.example", "sec-fetch-site": "cross-site"}
    access.refuse_cross_site(OPEN, "POST", headers, allowed_origins=("https://app.example",))


def test_what_is_no_browser_may_use_an_open_service_but_not_a_cookie() -> None:
    access.refuse_cross_site(OPEN, "POST", HERE)
    with pytest.raises(CrossSiteRequest):
        access.refuse_cross_site(PAGE, "POST", HERE)
