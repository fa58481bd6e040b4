"""Who may call a route: each route states it as a dependency, and the application does not start when one does not.

A caller is known by the `Authorization` header alone. A login's cookie means nothing here: it belongs to the pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute

from leafloop import access
from leafloop.access import Caller
from leafloop.crossing import address, in_thread
from leafloop.errors import AccessError


class Access:
    """Who may call a route. `access` is a role, `public`, or one of `access.OPEN_TOO`."""

    def __init__(self, needs: str, *, counts_as: str = "request") -> None:
        self.access = needs
        self.counts_as = counts_as

    async def __call__(self, request: Request) -> Caller:
        """The caller. Raises every `AccessError`, `RateLimited`, and `DatabaseUnavailable` (nobody can say who)."""
        state = request.app.state
        caller = await self._known(request)
        request.state.key_id = caller.key_id
        state.rates.count(self.counts_as, caller.key_id or address(request))
        origins = state.parts.settings.origins
        access.refuse_cross_site(caller, request.method, request.headers, allowed_origins=origins)
        access.require(caller, self.access)
        return caller

    async def _known(self, request: Request) -> Caller:
        header = request.headers.get("authorization")
        try:
            return await in_thread(request, access.authenticate, request.app.state.parts, header=header)
        except AccessError:
            request.app.state.rates.count("request", address(request))
            raise


class _Public(Access):
    """Anybody, without a look at the database: health checks must answer when it is away."""

    def __init__(self) -> None:
        super().__init__("public")

    async def __call__(self, request: Request) -> Caller:  # noqa: ARG002 - as its parent has it
        return Caller(None, "field", label="public")


PUBLIC = _Public()
FIELD, REVIEWER, ENGINEER, OPERATOR = (Access(role) for role in access.ROLES)
PHOTO = Access("field", counts_as="photo")
REVIEW = Access("review")
DEBUG = Access("debug", counts_as="photo")
FEEDBACK = Access("field", counts_as="feedback")


def actor(caller: Caller) -> str:
    """How the audit log names a caller."""
    return caller.actor


def routes_of(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Every route, also those of routers that were included."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield route
        else:
            yield from routes_of(inner.routes)


def declared(route: BaseRoute) -> str | None:
    """What a route declares, or None. A page declares by any dependency that has an attribute `access`."""
    return _find(route.dependant) if isinstance(route, APIRoute) else None


def _find(dependant: Dependant) -> str | None:
    for inner in dependant.dependencies:
        found = getattr(inner.call, "access", None) or _find(inner)
        if found is not None:
            return str(found)
    return None


def refuse_undeclared(routes: Iterable[BaseRoute]) -> None:
    """Raise `RuntimeError`, naming them, when any route does not say who may call it."""
    silent = [str(getattr(route, "path", route)) for route in routes_of(routes) if declared(route) is None]
    if silent:
        raise RuntimeError(
            f"These routes do not declare who may call them: {', '.join(silent)}. "
            "Add a dependency of leafloop.api.callers."
        )
