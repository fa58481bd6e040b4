"""Puts the service together: parts, routers, pages, limits, start and stop. Knows what stands where, no rule.

SecurityHeaders( RequestLog( Hosts( CORS( Language( BoundedBody( routes ))))))
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
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
from leafloop import access, crossing, tus
from leafloop.api import (
    callers,
    docs,
    feedback,
    mlops,
    predict,
    predictions,
    problems,
    review,
    schemas,
    service,
    snapshots,
    training_data,
    uploads,
)
from leafloop.api.body import BoundedBody
from leafloop.api.headers import Hosts, SecurityHeaders, allowed_hosts
from leafloop.api.rate import Rates
from leafloop.api.request_log import HEADER, RequestLog
from leafloop.errors import LeafloopError
from leafloop.live import purging
from leafloop.live.parts import Parts, cache_of, open_parts
from leafloop.live.sweeping import Sweepable, Sweeper
from leafloop.settings import Settings
from leafloop.storage import keys
from leafloop.web import offline, pages
from leafloop.web import problems as problem_pages
from leafloop.web import uploads as page_uploads
from leafloop.web.languages import Language

ROUTERS = (
    service.router,
    docs.router,
    predict.router,
    predictions.router,
    uploads.router,
    feedback.router,
    review.router,
    training_data.router,
    mlops.router,
    snapshots.router,
)
PAGES = (pages.router, page_uploads.router, offline.router)
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
    app.state.stopping = False  # the server's to set (api/stopping.py)
    app.router.routes.append(
        _JsonRoot("/", service.root, response_model=schemas.Root, dependencies=[Depends(callers.PUBLIC)])
    )
    for router in (*ROUTERS, *PAGES):
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
    app.add_middleware(Language, settings=settings)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=("GET", "HEAD", "POST", "PATCH", "DELETE"),
            allow_headers=("Authorization", "Content-Type", "Idempotency-Key", HEADER, *tus.ASKED),
            expose_headers=(HEADER, "Retry-After", *tus.ANSWERED),
            max_age=CORS_SECONDS,
        )
    app.add_middleware(Hosts, allowed=allowed_hosts(settings))
    app.add_middleware(RequestLog, broken=_respond)
    app.add_middleware(SecurityHeaders, settings=settings)


async def _answer_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        error.headers = {"Allow": ", ".join(_methods_at(request))}
    problems.note(request.scope, error)
    return _respond(request, error)


def _respond(request: Request, error: Exception) -> Response:
    """An error as its reader wants it: a page for a browser at a page, else a problem document."""
    problem = problems.of_any(error)
    if problem_pages.wants_page(request):
        return problem_pages.page(request, problem.document(request.scope), problem.headers)
    response = problem.response(request.scope)
    response.headers.update(tus.IN_EVERY_ANSWER if tus.is_spoken_at(request.scope["path"]) else {})
    return response


def _methods_at(request: Request) -> list[str]:
    """Every method that an address takes; Starlette names those of the first route at it alone."""
    there = (r for r in callers.routes_of(request.app.routes) if r.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in there for method in getattr(route, "methods", None) or ()})


def _need_a_key_off_loopback(parts: Parts) -> None:
    access.bootstrap_key(parts.ledger, parts.settings)
    with parts.ledger.reading() as session:
        has_keys = keys.any_made(session)
    access.refuse_to_listen(parts.settings, has_keys)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Have model and decoders ready before the first request. At the end all has been answered: close the parts."""
    parts: Parts = app.state.parts
    place = Sweepable(parts.ledger, parts.blobs, cache_of(parts.settings))
    sweeper = Sweeper(place, first=parts.uploads.answer_what_was_left, then=purging.Daily(parts))
    try:
        await anyio.to_thread.run_sync(parts.start)
        sweeper.start()
        async with anyio.create_task_group() as beside:
            beside.start_soon(app.state.readiness.keep_looking, parts)
            yield
            beside.cancel_scope.cancel()
    finally:
        sweeper.close()
        await anyio.to_thread.run_sync(parts.close)


class _JsonRoot(APIRoute):
    """`GET /` for programs. Whoever asks for HTML is a browser, and gets the page that is at the same address."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        accepts = b",".join(value for name, value in scope["headers"] if name == b"accept")
        return (Match.NONE, {}) if b"text/html" in accepts else super().matches(scope)
