"""A problem document becomes a page, a card for the page's script, or the way to the login; decides no status and no code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from leafloop.web.contexts import Problem, ProblemCard, ProblemPage, Visitor
from leafloop.web.rendering import HEADERS, render

# The page's script asks for the card alone, and tells our answers from a proxy's by the same header coming back.
PARTIAL = "Leafloop-Partial"
_FOR_PROGRAMS = ("/api/", "/docs", "/openapi.json", "/metrics", "/health", "/ready", "/model/", "/static/")


def wants_page(request: Request) -> bool:
    """Whether whoever asked reads HTML: a browser at one of our pages, not a program at a call."""
    if request.url.path.startswith(_FOR_PROGRAMS):
        return False
    return PARTIAL in request.headers or "text/html" in request.headers.get("accept", "")


def page(request: Request, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """The document's `detail` in words for a person. `headers` are those of the problem (`Retry-After`, ...)."""
    problem = of_document(document)
    if PARTIAL in request.headers:
        return _with(render(ProblemCard(problem=problem), problem.status), {**(headers or {}), PARTIAL: "1"})
    if problem.log_in and request.url.path != "/login":
        following = request.url.path if request.method == "GET" else "/"
        return RedirectResponse(f"/login?following={quote(following)}", 303, HEADERS)
    # Who asks may be what went wrong, so the frame is shown as to somebody who is logged in: its links find out by themselves.
    return _with(render(ProblemPage(visitor=Visitor(open_mode=True), problem=problem), problem.status), headers or {})


def of_document(document: Mapping[str, Any]) -> Problem:
    """What a page says of a problem document (RFC 9457)."""
    title, detail = str(document["title"]), str(document["detail"])
    return Problem(
        status=int(document["status"]),
        code=str(document["code"]),
        title=title,
        detail=detail.removeprefix(
            f"{title}. "
        ),  # a title is often the detail's first sentence; a person reads it once
        request_id=document.get("request_id"),
    )


def _with(response: Response, headers: Mapping[str, str]) -> Response:
    response.headers.update(headers)
    return response
