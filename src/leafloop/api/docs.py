"""The calls as a page and as OpenAPI: `/docs` and `/openapi.json`. Knows the shape of a document, not what the calls do.

The page is rendered here: one that fetches its viewer from somebody else's server would break our content policy, and
a field office may have no way to that server. Swagger UI's own files are 1.9 MB, more than all the rest of the
package's pages.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader
from starlette.responses import HTMLResponse, JSONResponse, Response

import leafloop
from leafloop.api import callers, examples, problems, schemas
from leafloop.crossing import in_thread
from leafloop.errors import LeafloopError

router = APIRouter(include_in_schema=False, dependencies=[Depends(callers.PUBLIC)])

_STATIC = Path(__file__).parent / "static"
_DESCRIPTION = (
    "A photo of a leaf in, a disease stage out. Send a key as 'Authorization: Bearer KEY'; on its own machine, before "
    "the first key is made, the service takes photos without one. Errors are RFC 9457 problem documents with a stable "
    "'code'."
)


@router.get("/openapi.json")
async def openapi_json(request: Request) -> JSONResponse:
    return JSONResponse(await in_thread(request, request.app.openapi))


@router.get("/docs")
async def page(request: Request) -> HTMLResponse:
    return HTMLResponse(await in_thread(request, _page, request.app))


@router.get("/docs/style.css")
async def style() -> Response:
    return Response(_style(), media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})


def openapi(app: FastAPI) -> dict[str, Any]:
    """The document: FastAPI's, with who may call, what errors look like, and an example of each answer."""
    if app.openapi_schema is None:
        spec = get_openapi(
            title="Leafloop",
            version=leafloop.__version__,
            description=_DESCRIPTION,
            routes=app.routes,
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        )
        components = spec.setdefault("components", {})
        components["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "bearerFormat": "lf_<id>_<secret>"}
        }
        shapes = components.setdefault("schemas", {})
        shapes["ProblemDocument"] = schemas.ProblemDocument.model_json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form of an error, which we never send
            shapes.pop(unused, None)
        _complete(app, spec["paths"])
        app.openapi_schema = spec
    return app.openapi_schema


def _complete(app: FastAPI, paths: dict[str, Any]) -> None:
    shown = examples.by_call(app.state.parts.taxonomy)
    for route in callers.routes_of(app.routes):
        if not isinstance(route, APIRoute) or route.path not in paths:
            continue
        for method in route.methods or ():
            call = paths[route.path].get(method.lower())
            if call is not None and "x-access" not in call:  # a page at the same address comes later, and is no call
                _complete_call(call, callers.declared(route) or "public", shown.get((method, route.path)))


def _complete_call(call: dict[str, Any], access: str, example: Any) -> None:
    call["x-access"] = access
    if access != "public":
        call["security"] = [{"key": []}]
    answers = call["responses"]
    answers.pop("422", None)
    answers["default"] = {
        "description": "A problem document",
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }
    if example is not None:
        answers["200"]["content"]["application/json"]["example"] = example


def codes() -> list[tuple[str, int, str]]:
    """Every code that an error can have: code, status, words."""
    ours = {k.code: (problems.status_of(k), problems.message(k)) for k in problems.STATUS if k is not LeafloopError}
    https = {code: (status, f"{title}. {detail}") for status, (code, title, detail) in problems.OF_HTTP.items()}
    return sorted((code, status, words) for code, (status, words) in {**https, **ours}.items())


def _page(app: FastAPI) -> str:
    return _environment().get_template("docs.html").render(spec=app.openapi(), codes=codes())


@cache
def _environment() -> Environment:
    loader = PackageLoader("leafloop.api", "static")
    # Most members of an OpenAPI document may be absent, so an absent one is not an error here.
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


@cache
def _style() -> bytes:
    return (_STATIC / "docs.css").read_bytes()
