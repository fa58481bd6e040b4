"""What the service says about itself: alive, ready, which model, which metrics. Answers no photo."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

import leafloop
from leafloop import log, metrics
from leafloop.access import Caller
from leafloop.api import callers, problems, schemas
from leafloop.crossing import in_thread
from leafloop.errors import LeafloopError, ModelUnavailable

_log = log.get(__name__)

router = APIRouter(tags=["service"])

ENDPOINTS = {
    "predict": "/api/v1/predict",
    "classify": "/api/v1/predict/classify",
    "predictions": "/api/v1/db/predictions",
    "models": "/api/v1/mlops/models",
    "model_info": "/model/info",
    "health": "/health",
    "ready": "/ready",
    "metrics": "/metrics",
    "docs": "/docs",
    "openapi": "/openapi.json",
}
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
    """Ready: database, objects and model are there, so a photo would be answered. 503 when one of them is not."""
    states = await request.app.state.readiness.look(request)
    well = all(part["state"] == "up" for part in states.values())
    return JSONResponse({"status": "ready" if well else "not_ready", **states}, 200 if well else 503)


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
        self._lock, self._until = asyncio.Lock(), 0.0
        self._states: dict[str, dict[str, str]] = {}

    async def look(self, request: Request) -> dict[str, dict[str, str]]:
        async with self._lock:
            if time.monotonic() >= self._until:
                self._states = await self._ask(request)
                self._until = time.monotonic() + ASK_AGAIN_S
        return self._states

    async def _ask(self, request: Request) -> dict[str, dict[str, str]]:
        parts = request.app.state.parts
        checks: dict[str, Callable[[], str]] = {
            "database": lambda: _checked(parts.ledger.check, "The database answers."),
            "objects": lambda: _checked(parts.blobs.check, "The object store takes and gives."),
            "model": lambda: _model(parts.serving),
        }
        found = await asyncio.gather(*(in_thread(request, _state, name, check) for name, check in checks.items()))
        return dict(zip(checks, found, strict=True))


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
