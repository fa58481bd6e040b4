"""Headers that every answer carries, and the host names that are answered at all. Knows no route.

The host list is what protects an open service on loopback from a web page whose name was made to point there (DNS
rebinding).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leafloop.access import is_https
from leafloop.api import problems
from leafloop.settings import Settings

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

# Set where a route or a page has not set its own.
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


# Browsers come back by https alone for a year. Other names of the domain are not ours to speak for.
HTTPS_ONLY = {"Strict-Transport-Security": "max-age=31536000"}
# RFC 9110, 7.2: a name and a port. Starlette joins this header and the path to a URL, so a "/" or "?" in it would move the path.
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?", re.ASCII | re.IGNORECASE)


class SecurityHeaders:
    """ASGI middleware that adds `SECURITY` to every answer, and `HTTPS_ONLY` where the public address is https."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.headers = {**SECURITY, **(HTTPS_ONLY if is_https(settings) else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class Hosts:
    """ASGI middleware that answers 421 for a host name that is none or not ours. `*` in the list lets every name pass."""

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...]) -> None:
        self.app = app
        self.allowed = frozenset(name.lower() for name in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_ours(Headers(scope=scope).get("host")):
            await self.app(scope, receive, send)
            return
        await problems.of_http(421).response(scope)(scope, receive, send)

    def _is_ours(self, header: str | None) -> bool:
        if header is None:  # HTTP/1.0, as some load balancers ask
            return "*" in self.allowed
        name = host_name(header)
        return name != "" and ("*" in self.allowed or name in self.allowed)


def host_name(header: str) -> str:
    """The name in a Host header, without port and brackets; empty when it is none."""
    form = _HOST.fullmatch(header)
    return form[1].strip("[]").rstrip(".").lower() if form else ""


def allowed_hosts(settings: Settings) -> tuple[str, ...]:
    """What LEAFLOOP_ALLOWED_HOSTS says; unset: the loopback names, the address listened on, the public address.

    Bound to every address of the machine (0.0.0.0, ::), any of its names may be meant: then only a list can narrow
    it. A key is needed there in any case, and a foreign page cannot send one.
    """
    if settings.hosts:
        return settings.hosts
    if settings.host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return ("*",)
    public = urlsplit(settings.public_url or "").hostname
    return (*_LOOPBACK, settings.host.strip("[]"), *((public,) if public else ()))
