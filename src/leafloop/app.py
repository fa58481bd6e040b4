"""Puts the service together: parts, routers, pages, limits, start and stop. Knows what stands where, no rule.

SecurityHeaders( RequestLog( Hosts( CORS( BoundedBody( routes )))))
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

import leafloop
from leafloop import access, crossing
from leafloop.api import callers, docs, mlops, predict, predictions, problems, schemas, service
from leafloop.api.body import BoundedBody
from leafloop.api.headers import Hosts, SecurityHeaders, allowed_hosts
from leafloop.api.rate import Rates
from leafloop.api.request_log import HEADER, RequestLog
from leafloop.errors import LeafloopError
from leafloop.live.parts import Parts, open_parts
from leafloop.settings import Settings
from leafloop.storage import keys
from leafloop.web import pages
from leafloop.web import problems as problem_pages

ROUTERS = (service.router, docs.router, predict.router, predictions.router, mlops.router, pages.router)
CORS_SECONDS = 600  # how long a browser may remember that it may call; the most that Chromium keeps is 7200


def create_app(settings: Settings, *, parts: Parts | None = None) -> FastAPI:
    """The whole application. It owns its parts: they are opened here and closed when it stops.

    Raises what `open_parts` raises, and `ConfigurationInvalid` rather than offer an open service to a network.
    """
    parts = parts or open_parts(settings)
    try:
        _need_a_key_off_loopback(parts)
        return _assemble(parts)
    except BaseException:
        parts.close()
        raise


def _assemble(parts: Parts) -> FastAPI:
    app = FastAPI(
        title="Leafloop",
        version=leafloop.__version__,
        lifespan=_lifespan,
        redirect_slashes=False,
        openapi_url=None,  # served by api/docs.py, like the page
        docs_url=None,
        redoc_url=None,
    )
    app.state.parts = parts
    app.state.rates = Rates(parts.settings)
    app.state.limiter = crossing.limiter(parts.settings)
    app.state.readiness = service.Readiness()
    app.router.routes.append(
        _JsonRoot("/", service.root, response_model=schemas.Root, dependencies=[Depends(callers.PUBLIC)])
    )
    for router in ROUTERS:
        app.include_router(router)
    callers.refuse_undeclared(app.routes)
    app.openapi = lambda: docs.openapi(app)  # type: ignore[method-assign]  # FastAPI's own documented way
    for kind in (LeafloopError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _answer_error)
    _surround(app, parts.settings)
    return app


def _surround(app: FastAPI, settings: Settings) -> None:
    """Middleware, from the innermost to the outermost."""
    app.add_middleware(BoundedBody, settings=settings)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=("GET", "POST", "PATCH", "DELETE"),
            allow_headers=("Authorization", "Content-Type", "Idempotency-Key", HEADER),
            expose_headers=(HEADER, "Retry-After"),
            max_age=CORS_SECONDS,
        )
    app.add_middleware(Hosts, allowed=allowed_hosts(settings))
    app.add_middleware(RequestLog, broken=_respond)
    app.add_middleware(SecurityHeaders)


async def _answer_error(request: Request, error: Exception) -> Response:
    problems.note(request.scope, error)
    return _respond(request, error)


def _respond(request: Request, error: Exception) -> Response:
    """An error as its reader wants it: a page for a browser at a page, else a problem document."""
    problem = problems.of_any(error)
    if problem_pages.wants_page(request):
        return problem_pages.page(request, problem.document(request.scope), problem.headers)
    return problem.response(request.scope)


def _need_a_key_off_loopback(parts: Parts) -> None:
    access.bootstrap_key(parts.ledger, parts.settings)
    with parts.ledger.reading() as session:
        has_keys = keys.any_made(session)
    access.refuse_to_listen(parts.settings, has_keys)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the model before the first request; at the end, what is under way has been answered, so close the parts."""
    parts: Parts = app.state.parts
    try:
        await anyio.to_thread.run_sync(parts.serving.start)
        yield
    finally:
        await anyio.to_thread.run_sync(parts.close)


class _JsonRoot(APIRoute):
    """`GET /` for programs. Whoever asks for HTML is a browser, and gets the page that is at the same address."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        accepts = b",".join(value for name, value in scope["headers"] if name == b"accept")
        return (Match.NONE, {}) if b"text/html" in accepts else super().matches(scope)
