"""A problem document becomes a page, a card for the page's script, or the way to the login; decides no status and no code.

In English a page says the document's own words. In another language it says what the catalogue has for the code: less exact, and
understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from leafloop.errors import KeyInvalid
from leafloop.web import languages, refusals
from leafloop.web.contexts import Problem, ProblemCard, ProblemPage, Visitor
from leafloop.web.rendering import HEADERS, render

# The page's script asks for the card alone, and tells our answers from a proxy's by the same header coming back.
PARTIAL = "Leafloop-Partial"
_FOR_PROGRAMS = ("/api/", "/docs", "/openapi.json", "/metrics", "/health", "/ready", "/model/", "/static/")


def wants_page(request: Request) -> bool:
    """Whether whoever asked reads HTML: a browser at one of our pages, not a program at a call."""
    path = request.scope["path"]
    if path.startswith(_FOR_PROGRAMS) or path.endswith(".json"):
        return False
    return PARTIAL in request.headers or "text/html" in request.headers.get("accept", "")


def page(request: Request, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """The document's `detail` in words for a person. `headers` are those of the problem (`Retry-After`, ...)."""
    problem = of_document(document)
    if PARTIAL in request.headers:
        return _with(render(ProblemCard(problem=problem), problem.status), {**(headers or {}), PARTIAL: "1"})
    if problem.log_in and request.scope["path"] != "/login":
        following = request.scope["path"] if request.method == "GET" else "/"
        return RedirectResponse(f"/login?following={quote(following)}", 303, HEADERS)
    # Who asks may be what went wrong, so the frame is shown as to somebody who is logged in: its links find out by themselves.
    return _with(render(ProblemPage(visitor=Visitor(open_mode=True), problem=problem), problem.status), headers or {})


def of_document(document: Mapping[str, Any]) -> Problem:
    """What a page says of a problem document (RFC 9457), in the language of the request under way."""
    title, detail = str(document["title"]), str(document["detail"])
    if languages.language() != languages.ENGLISH:
        title, detail = refusals.translated(str(document["code"])) or (title, detail)
    return Problem(
        status=int(document["status"]),
        code=str(document["code"]),
        title=title,
        detail=detail.removeprefix(
            f"{title}. "
        ),  # a title is often the detail's first sentence; a person reads it once
        request_id=document.get("request_id"),
    )


def login_refused(detail: str) -> Problem:
    """What the login page says of a key that it does not take."""
    words = refusals.texts().get(KeyInvalid.code, detail)
    return Problem(401, "login_refused", languages.gettext("This key does not open anything here"), words)


def _with(response: Response, headers: Mapping[str, str]) -> Response:
    response.headers.update(headers)
    return response
