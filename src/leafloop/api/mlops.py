"""Which model answers, which there are, and moving the pointer. Decides nothing: `live.promotion` does."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse

from leafloop.access import Caller
from leafloop.api import callers, schemas
from leafloop.crossing import in_thread
from leafloop.errors import NotFound
from leafloop.live import promotion
from leafloop.live.parts import Parts
from leafloop.live.serving import CHAMPION
from leafloop.storage import models

router = APIRouter(prefix="/api/v1/mlops", tags=["models"])

AnyKey = Annotated[Caller, Depends(callers.FIELD)]
Engineer = Annotated[Caller, Depends(callers.ENGINEER)]
Operator = Annotated[Caller, Depends(callers.OPERATOR)]

NO_REASON_GIVEN = (
    "no reason given (older client)"  # its rollback request has no such field, and the audit log needs one
)


@router.get("/champion", response_model=schemas.Champion)
async def champion(request: Request, _caller: AnyKey) -> dict[str, Any]:
    """The model that the ledger says answers, and since when."""
    return await in_thread(request, _champion, request.app.state.parts)


@router.get("/models", response_model=schemas.Models)
async def list_models(request: Request, _caller: Engineer) -> dict[str, Any]:
    """Every model version, newest first."""
    return {"items": await in_thread(request, _models, request.app.state.parts)}


@router.get("/status", response_model=schemas.MlopsStatus)
async def status(request: Request, _caller: AnyKey, model_name: str | None = None) -> dict[str, Any]:
    """The older system's view: `production` is the champion; nothing is staged yet."""
    return await in_thread(request, _status, request.app.state.parts, model_name)


@router.get("/metrics", response_class=PlainTextResponse)
async def older_metrics(request: Request, _caller: AnyKey) -> PlainTextResponse:
    """The older system's one gauge. '/metrics' has all of ours."""
    found = await in_thread(request, _status, request.app.state.parts, None)
    return PlainTextResponse(_gauge(found), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.post("/promote", response_model=schemas.Moved)
async def promote(request: Request, caller: Operator, wanted: schemas.Promote) -> dict[str, Any]:
    """Make a version the champion. Every replica follows within a second or two."""
    actor = callers.actor(caller)
    work = partial(promotion.promote, request.app.state.parts, wanted.version, reason=wanted.reason, actor=actor)
    return _moved(await in_thread(request, work), "Model {} answers from now on.")


@router.post("/rollback", response_model=schemas.Moved)
async def rollback(request: Request, caller: Operator, wanted: schemas.Rollback) -> dict[str, Any]:
    """Go back to a version, or to the model that answered before."""
    reason, actor = wanted.reason or NO_REASON_GIVEN, callers.actor(caller)
    work = partial(promotion.rollback, request.app.state.parts, wanted.version, reason=reason, actor=actor)
    return _moved(await in_thread(request, work), "Rolled back: model {} answers from now on.")


def _moved(moved: dict[str, str | None], words: str) -> dict[str, Any]:
    return {"ok": True, "message": words.format(moved["version"]), **moved}


def _champion(parts: Parts) -> dict[str, Any]:
    with parts.ledger.reading() as session:
        pointer = models.pointer(session, CHAMPION)
        model = models.get(session, pointer.version) if pointer else None
        if pointer is None or model is None:
            raise NotFound("No model was promoted yet: 'leafloop models list', then 'leafloop models promote'.")
        live = parts.serving.state()["live"]
        return {
            "version": model.version,
            "name": model.name,
            "bundle": model.bundle_hash,
            "since": pointer.since,
            "previous": pointer.previous_version,
            "loaded": live is not None and live["version"] == model.version,
        }


def _models(parts: Parts) -> list[dict[str, Any]]:
    with parts.ledger.reading() as session:
        return [
            {
                "version": model.version,
                "name": model.name,
                "bundle": model.bundle_hash,
                "created_at": model.created_at,
                "source": model.source,
                "licence": model.licence,
                "aliases": aliases,
                "metrics": model.manifest.get("metrics", {}),
            }
            for model, aliases in models.list_all(session)
        ]


def _status(parts: Parts, model_name: str | None) -> dict[str, Any]:
    nothing: dict[str, str | None] = {"version": None, "run_id": None}
    with parts.ledger.reading() as session:
        pointer = models.pointer(session, CHAMPION)
        model = models.get(session, pointer.version) if pointer else None
        if model is None or (model_name is not None and model_name != model.name):
            return {"model_name": model_name, "production": nothing, "staging": nothing}
        run_id = model.manifest.get("lineage", {}).get("mlflow_run_id")
        return {
            "model_name": model.name,
            "production": {"version": model.version, "run_id": run_id},
            "staging": nothing,
        }


def _gauge(found: dict[str, Any]) -> str:
    """Prometheus text (exposition format 0.0.4). Versions are numbers in a string; one that is not says 0."""
    version = found["production"]["version"]
    lines = ["# HELP mlops_model_version Model version by stage", "# TYPE mlops_model_version gauge"]
    if version is not None:
        name = found["model_name"].replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        number = version if version.isdecimal() else "0"
        lines.append(f'mlops_model_version{{model="{name}",stage="production"}} {number}')
    return "\n".join(lines) + "\n"
