"""In which language a page speaks, and its words: gettext catalogues under `locales/`. Knows no page.

Chosen by `?lang=`, which is remembered in a cookie, else by that cookie, else by the browser's own wish, else English. It is set
once for a request, so that whoever renders a page or asks for a text need not pass it on.
"""

from __future__ import annotations

import gettext as library
from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache
from http.cookies import SimpleCookie
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import leafloop
from leafloop import access
from leafloop.settings import Settings

LOCALES = Path(leafloop.__file__).parent / "locales"
DOMAIN = "leafloop"
ENGLISH = "en"
# Each by its own name: who looks for a language cannot be expected to read another.
LANGUAGES = {ENGLISH: "English", "es": "Español", "fil": "Filipino"}
# How browsers call what we call otherwise: Tagalog is what Filipino was before it had a code.
_SAME = {"tl": "fil"}
COOKIE = "leafloop_language"
NOBODY = "nobody"  # in a catalogue's header X-Read-By
KEEP_S = 31_536_000  # a year: nobody changes a language often

_chosen: ContextVar[str] = ContextVar("leafloop_language", default=ENGLISH)


def language() -> str:
    """The language of the request under way; English outside of one."""
    return _chosen.get()


def gettext(message: str) -> str:
    """A text in the language of the request under way."""
    return translations(language()).gettext(message)


def ngettext(singular: str, plural: str, n: int) -> str:
    return translations(language()).ngettext(singular, plural, n)


def read_by() -> str | None:
    """Who, speaking the language from home, has read these words; None: nobody yet. English is the language they are written in."""
    if language() == ENGLISH:
        return "its authors"
    said = translations(language()).info().get("x-read-by", NOBODY)
    return None if said == NOBODY else said


@cache
def translations(code: str) -> library.NullTranslations:
    """The catalogue of one of `LANGUAGES`. English is the texts themselves."""
    if code == ENGLISH:
        return library.NullTranslations()
    return library.translation(DOMAIN, LOCALES, [code])


class Language:
    """ASGI middleware: sets the language for all that a request does, and remembers one that was chosen by `?lang=`."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.secure = app, access.is_https(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = _ours(QueryParams(scope["query_string"]).get("lang"))
        _chosen.set(asked or _remembered_or_wished(Headers(scope=scope)))

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and asked:
                MutableHeaders(scope=message).append("Set-Cookie", self._cookie(asked))
            await send(message)

        await self.app(scope, receive, send_with_cookie)

    def _cookie(self, code: str) -> str:
        cookie: SimpleCookie = SimpleCookie({COOKIE: code})
        cookie[COOKIE].update({"path": "/", "max-age": str(KEEP_S), "samesite": "Lax"})
        cookie[COOKIE]["httponly"], cookie[COOKIE]["secure"] = True, self.secure
        return cookie[COOKIE].OutputString()


def _remembered_or_wished(headers: Headers) -> str:
    kept = _ours(cookie_parser(headers.get("cookie", "")).get(COOKIE))
    return kept or best_of(headers.get("accept-language", ""))


def best_of(accepted: str) -> str:
    """The language of ours that an Accept-Language header likes best; English when it names none."""
    wishes = sorted(_wishes(accepted), key=lambda wish: -wish[1])
    return next((ours for code, weight in wishes if weight > 0 and (ours := _ours(code))), ENGLISH)


def _wishes(accepted: str) -> Iterable[tuple[str, float]]:
    for part in accepted.split(",")[:20]:  # a person speaks fewer
        code, _, rest = part.strip().partition(";")
        weight = rest.strip().removeprefix("q=")
        try:
            yield code, float(weight) if weight else 1.0
        except ValueError:
            continue


def _ours(code: str | None) -> str | None:
    """`es-MX` is `es` here; None for a language that we do not have."""
    main = (code or "").strip().lower().split("-")[0]
    main = _SAME.get(main, main)
    return main if main in LANGUAGES else None
