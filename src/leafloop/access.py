"""Who may ask: keys, roles and page logins. Knows headers and cookies as plain text, nothing of HTTP or of what is asked.

A key is `lf_<id>_<secret>`: the id finds its row, the secret (256 random bits) is stored as SHA-256 and shown once. A secret of
that length needs no slow hash: nobody can try 2^256 of them.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from leafloop import log
from leafloop.errors import (
    ConfigurationInvalid,
    CrossSiteRequest,
    KeyInvalid,
    KeyMissing,
    NotFound,
    ReadOnly,
    RequestInvalid,
    RoleTooLow,
    Unavailable,
)
from leafloop.live.parts import Parts
from leafloop.settings import Settings
from leafloop.storage import audit, keys
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import ApiKey

_log = log.get(__name__)

Role = Literal["field", "reviewer", "engineer", "operator"]  # each may do what the ones before it may
ROLES: tuple[str, ...] = get_args(Role)
# What needs a role, and is there too for whoever tries the service out at its own machine before a key is made.
OPEN_TOO = {"debug": "engineer", "review": "reviewer"}
MAX_LABEL = 100  # a key's label is a person's or a phone's name
_KEY = re.compile(r"lf_([a-z0-9]{8})_([A-Za-z0-9_-]{43,128})", re.ASCII)  # 43 base64url characters hold 256 bits
_NO_HASH = "0" * 64  # what a secret is compared with where there is none; nothing known has this hash
_ID_LETTERS = string.ascii_lowercase + string.digits
_TOUCH_EVERY = timedelta(minutes=5)  # `last_used_at` is for people: a write a request would cost an fsync each
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, section 9.2.1


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `open` is the loopback service before its first key; `session` came by a page's cookie, with the login's id."""

    key_id: str | None
    role: str
    label: str = ""
    open: bool = False
    session: str | None = None

    def allows(self, role: str) -> bool:
        """Whether this caller may do what `role` may. Raises `ValueError` for a role that does not exist."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def actor(self) -> str:
        """How the audit log names this caller."""
        return f"key:{self.key_id}" if self.key_id else "open"

    @property
    def may_review(self) -> bool:
        """Whether the way to the review pages is shown."""
        return self.open or self.allows("reviewer")


def require(caller: Caller, needs: str) -> None:
    """Let `caller` do what a role may, or what one of `OPEN_TOO` is; or raise `KeyMissing` (no key given) or `RoleTooLow`."""
    if caller.open and needs in OPEN_TOO:
        return
    role = OPEN_TOO.get(needs, needs)
    if caller.allows(role):
        return
    _log.warning("access denied", reason="role too low", key_id=caller.key_id, has=caller.role, needs=role)
    if caller.key_id is None:
        raise KeyMissing
    raise RoleTooLow(f"This needs a key of role '{role}'; this key's role is '{caller.role}'. Ask an operator for one.")


# Keys


def create_key(session: Session, role: str, label: str = "", *, actor: str = "cli") -> tuple[str, str]:
    """Make a key: its id and the whole key, which nobody can read again. Raises `RequestInvalid` for a role or label not taken."""
    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    _keep_key(session, key_id, secret, role, label, actor)
    return key_id, f"lf_{key_id}_{secret}"


def list_keys(session: Session) -> list[dict[str, Any]]:
    """Every key that was made, as plain data and without its secret's hash; newest first."""
    shown = ("id", "role", "label", "created_at", "last_used_at", "revoked_at")
    return [{name: _plain(getattr(row, name)) for name in shown} for row in keys.list_all(session)]


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def revoke_key(session: Session, key_id: str, *, actor: str, reason: str | None = None) -> None:
    """End a key and every login made with it. Raises `NotFound`; a key that is already revoked stays as it is."""
    row = keys.get(session, key_id)
    if row is None:
        raise NotFound(f"There is no key '{key_id[:32]}'. 'leafloop keys list' shows all.")
    if row.revoked_at is None:
        keys.revoke(session, key_id)
        audit.record(session, actor=actor, action="key.revoke", subject=key_id, reason=reason)


def _keep_key(session: Session, key_id: str, secret: str, role: str, label: str, actor: str) -> None:
    if role not in ROLES:
        raise RequestInvalid(f"'{role[:32]}' is not a role. The roles are: {', '.join(ROLES)}.")
    if len(label) > MAX_LABEL or not label.isprintable():
        raise RequestInvalid(f"A label is one line of at most {MAX_LABEL} characters.")
    keys.create(session, id=key_id, role=role, label=label, secret_sha256=_sha256(secret))
    audit.record(session, actor=actor, action="key.create", subject=key_id, detail={"role": role, "label": label})


def authenticate(parts: Parts, *, header: str | None = None, cookie: str | None = None) -> Caller:
    """The caller behind an `Authorization` header or a login's cookie; neither is needed in open mode.

    Raises `KeyInvalid` (unknown, revoked, or a login that has ended), `KeyMissing`, and `DatabaseUnavailable`: when the
    database cannot say who asks, nobody is let in.
    """
    with parts.ledger.reading() as session:
        if header is not None:
            caller = _by_key(session, _bearer(header))
        elif is_open(parts.settings, session):
            return Caller(None, "field", label="open", open=True)
        elif cookie:
            caller = _by_login(session, parts.settings, cookie)
        else:
            raise KeyMissing
        stale = _is_stale(session, caller)
    if stale:
        _touch(parts.ledger, caller)
    return caller


def _bearer(header: str) -> str:
    scheme, _, value = header.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise KeyInvalid("The Authorization header has another form than 'Bearer KEY'.")
    return value.strip()


def _by_key(session: Session, key: str) -> Caller:
    form = _KEY.fullmatch(key)
    key_id, secret = form.groups() if form else ("", key[:256])
    known = _secret_hash(session, key_id)
    matches = hmac.compare_digest(_sha256(secret), known or _NO_HASH)
    row = keys.get(session, key_id) if matches else None
    if row is None or row.revoked_at is not None:
        why = "unknown key" if known is None else "revoked" if matches else "wrong secret"
        _log.warning("access denied", reason=why, key_id=key_id)
        raise KeyInvalid
    return Caller(row.id, row.role, label=row.label)


def _secret_hash(session: Session, key_id: str) -> str | None:
    """The hash of a key's secret. Always one row comes back, so that an unknown id takes as long as a known one: reading a whole
    row more, or not, was 0.12 ms of 0.6 and told them apart (measured; see the test)."""
    always = select(literal(1).label("one")).subquery()
    return session.scalar(select(ApiKey.secret_sha256).select_from(always).outerjoin(ApiKey, ApiKey.id == key_id))


def _is_stale(session: Session, caller: Caller) -> bool:
    row = keys.get(session, caller.key_id or "")
    return row is not None and (row.last_used_at is None or datetime.now(UTC) - row.last_used_at > _TOUCH_EVERY)


def _touch(ledger: Ledger, caller: Caller) -> None:
    try:
        with ledger.transaction() as session:
            keys.touch(session, caller.key_id or "")
    except Unavailable as error:  # only a note for people: a full disk must not lock everybody out of reading
        _log.warning("last use of a key not noted", key_id=caller.key_id, code=error.code)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# Open mode, and the first key


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_open(settings: Settings, session: Session) -> bool:
    """Whether the service may be tried without a key: bound to loopback, and no key was ever made."""
    return is_loopback(settings.host) and not keys.any_made(session)


def refuse_to_listen(settings: Settings, has_keys: bool) -> None:
    """Raise `ConfigurationInvalid` rather than offer an open service to a network."""
    if not has_keys and not is_loopback(settings.host):
        raise ConfigurationInvalid(
            f"LEAFLOOP_HOST={settings.host} can be reached from other machines, and no key exists yet. "
            "Make one with 'leafloop keys create --role operator', or give one in LEAFLOOP_BOOTSTRAP_KEY_FILE.",
            variable="LEAFLOOP_HOST",
        )


def bootstrap_key(ledger: Ledger, settings: Settings) -> str | None:
    """Make the first operator key from `LEAFLOOP_BOOTSTRAP_KEY_FILE` when no key was ever made; the id, or None.

    Raises `ConfigurationInvalid` when the file cannot be read or holds something else than `lf_<id>_<secret>`.
    """
    path = settings.bootstrap_key_file
    if path is None:
        return None
    try:
        with ledger.transaction() as session:
            if keys.any_made(session):  # also: this very key, at the second start
                return None
            key_id, secret = _read_key_file(path)
            _keep_key(session, key_id, secret, "operator", "bootstrap", "bootstrap")
    except IntegrityError:  # another replica made this very key at this moment
        return None
    _log.info("first operator key made from file", key_id=key_id)
    return key_id


def _read_key_file(path: Path) -> tuple[str, str]:
    variable = "LEAFLOOP_BOOTSTRAP_KEY_FILE"
    try:
        form = _KEY.fullmatch(path.read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError):
        raise ConfigurationInvalid(f"{variable}: {path} cannot be read as text.", variable=variable) from None
    if form is None:
        raise ConfigurationInvalid(
            f"{variable}: {path} has to hold one key: lf_, 8 lower-case letters or digits, _, and at least 43 characters of "
            "base64url, for example: printf 'lf_firstkey_%s' \"$(openssl rand -base64 32 | tr '+/' '-_' | tr -d =)\"",
            variable=variable,
        )
    return form[1], form[2]


# Page logins: a signed cookie that names the key; the key's row is looked up at each request, so revoking it ends them all


def log_in(parts: Parts, key: str) -> tuple[Caller, str]:
    """Check a key typed into the login page: the caller, and a new cookie value. Raises `KeyInvalid`."""
    with parts.ledger.transaction() as session:
        found = _by_key(session, key.strip())
        caller = Caller(found.key_id, found.role, found.label, session=secrets.token_urlsafe(16))
        audit.record(session, actor=f"key:{caller.key_id}", action="login", subject=caller.session)
    value = _signer(parts.settings).dumps({"key": caller.key_id, "login": caller.session})
    return caller, str(value)


def log_out(parts: Parts, caller: Caller) -> None:
    """End one login for good: its cookie is refused from now on, also where a copy of it is kept."""
    if caller.session is not None:
        with parts.ledger.transaction() as session:
            audit.record(session, actor=f"key:{caller.key_id}", action="logout", subject=caller.session)


def cookie_name(settings: Settings) -> str:
    """The login's cookie. `__Host-` binds it to this host and to https, where the public address is https."""
    return "__Host-leafloop" if is_https(settings) else "leafloop"


def cookie_options(settings: Settings) -> dict[str, Any]:
    """What a login's cookie is set with (keyword arguments of Starlette's `set_cookie`, besides its value)."""
    return {
        "key": cookie_name(settings),
        "max_age": settings.session_hours * 3600,
        "path": "/",
        "secure": is_https(settings),
        "httponly": True,
        "samesite": "lax",
    }


def is_https(settings: Settings) -> bool:
    """Whether people reach the service by https, as its public address says."""
    return (settings.public_url or "").lower().startswith("https://")


def _by_login(session: Session, settings: Settings, cookie: str) -> Caller:
    ended = KeyInvalid("This login has ended. Log in again with your key.")
    try:
        value = _signer(settings).loads(cookie[:1024], max_age=settings.session_hours * 3600)
        key_id, login = str(value["key"]), str(value["login"])
    except (BadSignature, KeyError, TypeError):
        _log.info("access denied", reason="login expired or not ours")
        raise ended from None
    row = keys.get(session, key_id)
    if row is None or row.revoked_at is not None or audit.happened(session, action="logout", subject=login):
        _log.info("access denied", reason="login ended", key_id=key_id)
        raise ended
    return Caller(row.id, row.role, row.label, session=login)


def _signer(settings: Settings) -> URLSafeTimedSerializer:
    given = settings.secret_key.get_secret_value() if settings.secret_key else _secret_of(settings.home)
    return URLSafeTimedSerializer(given, salt="leafloop.login", signer_kwargs={"digest_method": hashlib.sha256})


@lru_cache(maxsize=8)
def _secret_of(home: Path) -> str:
    """The random secret of this installation, made at first use and readable by its owner alone."""
    path = home / "secret.key"
    try:
        return _read_secret(path) if path.exists() else _make_secret(path)
    except OSError as error:
        raise ReadOnly(
            f"{path} cannot be read or made ({error.strerror}). Mend it, or set LEAFLOOP_SECRET_KEY."
        ) from None


def _make_secret(path: Path) -> str:
    """Write beside, then link: whoever comes second takes the first one's secret, and nobody reads half a one."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(48))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return _read_secret(path)


def _read_secret(path: Path) -> str:
    secret = path.read_text("ascii").strip()
    if len(secret) < 32:  # as settings ask of LEAFLOOP_SECRET_KEY
        raise ConfigurationInvalid(f"{path} is cut short. Delete it: a new one is made, and everybody logs in again.")
    return secret


# Cross-site requests


def refuse_cross_site(
    caller: Caller, method: str, headers: Mapping[str, str], *, allowed_origins: tuple[str, ...] = ()
) -> None:
    """Raise `CrossSiteRequest` for an unsafe method that another site's page sent in the name of a person here.

    Only what a browser adds by itself can be abused so: a login's cookie, or being on the machine of an open service. A key in
    the `Authorization` header cannot be sent by a stranger's page. The headers `Sec-Fetch-Site` and `Origin` are set by the
    browser alone (W3C Fetch Metadata; https://words.filippo.io/csrf/). `headers` has lower-case names or ignores case.
    """
    if method.upper() in _SAFE_METHODS or not (caller.open or caller.session):
        return
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if caller.open and origin is not None and origin in allowed_origins:
        return
    if site is not None:
        fine = site in ("same-origin", "none")
    elif origin is not None:
        fine = urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    else:
        fine = caller.open  # no browser: curl at an open service, yes; a cookie, from what is no browser, no
    if not fine:
        _log.warning("access denied", reason="cross-site request", key_id=caller.key_id, origin=origin)
        raise CrossSiteRequest
