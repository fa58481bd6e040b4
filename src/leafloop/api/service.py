"""What the service says about itself: alive, ready, which model, which metrics. Answers no photo."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

import leafloop
from leafloop import log, metrics
from leafloop.access import Caller
from leafloop.api import callers, problems, schemas
from leafloop.crossing import in_thread
from leafloop.errors import LeafloopError, ModelUnavailable
from leafloop.live.parts import Parts
from leafloop.storage.ledger import Ledger

_log = log.get(__name__)

P = ParamSpec("P")
T = TypeVar("T")

router = APIRouter(tags=["service"])

ENDPOINTS = {
    "predict": "/api/v1/predict",
    "classify": "/api/v1/predict/classify",
    "predictions": "/api/v1/db/predictions",
    "feedback": "/api/v1/feedback/submit",
    "models": "/api/v1/mlops/models",
    "model_info": "/model/info",
    "health": "/health",
    "ready": "/ready",
    "metrics": "/metrics",
    "docs": "/docs",
    "openapi": "/openapi.json",
}
LOOK_EVERY_S = 2.0  # without being asked: what is well again is known to be before a person has looked twice
ASK_AGAIN_S = 1.0  # whoever polls faster gets the last look: a storm of probes must not become a storm on the database


def root() -> dict[str, Any]:
    """What `GET /` tells a program."""
    return {"message": "Leafloop", "version": leafloop.__version__, "endpoints": ENDPOINTS}


@router.head("/health", include_in_schema=False, dependencies=[Depends(callers.PUBLIC)])
@router.get("/health", response_model=schemas.Health, dependencies=[Depends(callers.PUBLIC)])
async def health() -> dict[str, str]:
    """Alive: the process answers. It looks at nothing else."""
    return {"status": "ok", "message": "API is running"}


@router.get(
    "/ready",
    response_model=schemas.Readiness,
    responses={503: {"model": schemas.Readiness}},
    dependencies=[Depends(callers.PUBLIC)],
)
async def ready(request: Request) -> JSONResponse:
    """Ready: database, objects, decoders and model are there, so a photo would be answered. 503 when one is not, or it stops."""
    states = await request.app.state.readiness.look(request.app.state.parts)
    well = all(part["state"] == "up" for part in states.values())
    status = "stopping" if request.app.state.stopping else "ready" if well else "not_ready"
    return JSONResponse({"status": status, **states}, 200 if status == "ready" else 503)


@router.get("/model/info", response_model=schemas.ModelInfo, dependencies=[Depends(callers.PUBLIC)])
async def model_info(request: Request) -> dict[str, Any]:
    """The class set, and the model that answers now."""
    parts = request.app.state.parts
    names = parts.taxonomy.class_names
    return {
        "classes": {str(i): name for i, name in enumerate(names)},
        "num_classes": len(names),
        "class_names": list(names),
        "taxonomy": f"{parts.taxonomy.name} {parts.taxonomy.version}",
        **await in_thread(request, _about_model, parts.serving),
    }


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def prometheus(_caller: Annotated[Caller, Depends(callers.FIELD)]) -> Response:
    """Metrics for Prometheus. They name nobody, so the lowest role will do: make the scraper a `field` key."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _about_model(serving: Any) -> dict[str, Any]:
    try:
        live = serving.current()
    except ModelUnavailable:
        return {"model": None, "input": None, "licence": None}
    manifest = live.reader.bundle.manifest
    return {
        "model": {"name": live.name, "version": live.version, "bundle": live.bundle_hash},
        "input": manifest.model_dump(include={"input", "tiling", "thresholds"}),
        "licence": manifest.licence,
    }


class Readiness:
    """The state of each part that answers need, asked at most once a second, by one request for all that wait."""

    def __init__(self) -> None:
        # Threads of its own: what is wrong has to be said just when all others wait for it. Four parts, asked from two sides.
        self._threads = anyio.CapacityLimiter(8)
        self._lock, self._until = asyncio.Lock(), 0.0
        self._states: dict[str, dict[str, str]] = {}

    async def look(self, parts: Parts) -> dict[str, dict[str, str]]:
        async with self._lock:
            if time.monotonic() >= self._until:
                self._states = await self._ask(parts)
                self._until = time.monotonic() + ASK_AGAIN_S
        return self._states

    async def keep_looking(self, parts: Parts) -> None:
        """For the metrics, whether or not anybody asks; and a write is tried again, since nobody may be sent here meanwhile."""
        while True:
            try:
                await self._run(parts.ledger.write_again)
                await self._ask(parts)
            # Whatever it is: the service goes on, and the next look may find it well.
            except Exception:  # noqa: BLE001
                _log.exception("could not look")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _ask(self, parts: Parts) -> dict[str, dict[str, str]]:
        checks: dict[str, Callable[[], str]] = {
            "database": lambda: _database(parts.ledger),
            "objects": lambda: _checked(parts.blobs.check, "The object store takes and gives."),
            "decoders": lambda: _checked(parts.decoders.start, "Photos can be read."),
            "model": lambda: _model(parts.serving),
        }
        found = await asyncio.gather(*(self._run(_state, name, check) for name, check in checks.items()))
        return dict(zip(checks, found, strict=True))

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a thread that is not waited for when the service stops."""
        work = partial(work, *args, **kwargs)
        return await anyio.to_thread.run_sync(work, limiter=self._threads, abandon_on_cancel=True)


def _database(ledger: Ledger) -> str:
    ledger.check()
    ledger.check_writes()
    return "The database answers."


def _checked(check: Callable[[], object], well: str) -> str:
    check()
    return well


def _model(serving: Any) -> str:
    well, detail = serving.ready()
    if not well:
        raise ModelUnavailable(detail)
    return str(detail)


def _state(part: str, check: Callable[[], str]) -> dict[str, str]:
    try:
        detail, well = check(), True
    except LeafloopError as error:
        _log.warning("not ready", part=part, code=error.code, detail=error.detail)
        detail, well = problems.of_error(error).detail, False
    metrics.DEPENDENCY_UP.labels(part=part).set(well)
    return {"state": "up" if well else "down", "detail": detail}
