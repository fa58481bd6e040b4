"""Gives each request an id, a log line and metrics; answers what nobody foresaw with a plain 500.

The line: `event="request"`, `request_id`, `method`, `route` (the template, never the path: a path may hold what
somebody typed), `status`, `ms`, and where known `key_id` and `code` of the problem. No query, no body, no header.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leafloop import log, metrics

_log = log.get(__name__)

HEADER = "X-Request-ID"
_TAKEN = re.compile(
    r"[A-Za-z0-9._-]{1,64}", re.ASCII
)  # a UUID or a trace id fits; nothing that could forge a line does
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
)  # a label must not be made up by callers
_GONE = 499  # nginx's number for a client that left: nothing was answered, and it was not our fault


class RequestLog:
    """ASGI middleware. `broken` makes the answer to an exception that nobody foresaw."""

    def __init__(self, app: ASGIApp, broken: Callable[[Request, Exception], Response]) -> None:
        self.app, self.broken = app, broken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = id_of(Headers(scope=scope).get(HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        with metrics.IN_PROGRESS.track_inprogress():
            await self._answer(scope, receive, send, request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        began, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = status or _GONE
        # Whatever nobody foresaw: the caller gets a document without internals, the log gets all of it.
        except Exception as error:
            _log.exception("request broke")
            if status:  # an answer has begun: a second one would be read as part of it
                raise
            await self.broken(Request(scope), error)(scope, receive, send_with_id)
        finally:
            _note(scope, status or _GONE, time.perf_counter() - began)


def id_of(given: str | None) -> str:
    """The caller's own id when it has a safe form, else a new one."""
    return given if given is not None and _TAKEN.fullmatch(given) else uuid.uuid4().hex


def _note(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", None) or "unmatched"
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    metrics.HTTP_SECONDS.labels(route=route, method=method, code=str(status)).observe(seconds)
    state = scope["state"]
    known = {"key_id": state.get("key_id"), "code": state.get("problem_code")}
    _log.info(
        "request",
        method=method,
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
        **{name: value for name, value in known.items() if value is not None},
    )
