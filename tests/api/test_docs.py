"""The documented calls: complete, true, and shown without anybody else's server."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate
from tests.api.conftest import Service
from tests.api.test_access import CALLS
from tests.tiny_models import BANANA

from leafloop.api import examples, problems

EXAMPLES = examples.by_call(BANANA)


@pytest.fixture(scope="module")
def spec(open_service: Service) -> dict[str, Any]:
    found: dict[str, Any] = open_service.client.get("/openapi.json").json()
    return found


def test_the_document_is_valid_openapi(spec: dict[str, Any]) -> None:
    validate(spec)


def test_every_call_is_in_it_with_who_may_and_what_errors_look_like(spec: dict[str, Any]) -> None:
    hidden = {("HEAD", "/health"), ("GET", "/docs"), ("GET", "/docs/style.css"), ("GET", "/openapi.json")}
    hidden |= {call for call in CALLS if call[0] in ("OPTIONS", "HEAD")}
    documented = {
        (method.upper(), path): call["x-access"]
        for path, calls in spec["paths"].items()
        for method, call in calls.items()
    }
    assert documented == {call: needs for call, needs in CALLS.items() if call not in hidden}
    for calls in spec["paths"].values():
        for call in calls.values():
            assert problems.MEDIA_TYPE in call["responses"]["default"]["content"]
            assert ("security" in call) == (call["x-access"] != "public")
            assert "422" not in call["responses"]


@pytest.mark.parametrize("call", EXAMPLES, ids=" ".join)
def test_every_example_fits_its_own_shape(spec: dict[str, Any], call: tuple[str, str]) -> None:
    method, path = call
    content = spec["paths"][path][method.lower()]["responses"]["200"]["content"]["application/json"]
    assert content["example"] == EXAMPLES[call]
    schema = {**content["schema"], "components": spec["components"]}
    jsonschema.Draft202012Validator(schema).validate(content["example"])


def test_a_problem_fits_the_documented_shape(open_service: Service, spec: dict[str, Any]) -> None:
    jsonschema.validate(
        open_service.client.get("/api/v1/nothing").json(), spec["components"]["schemas"]["ProblemDocument"]
    )


def test_the_page_shows_every_call_and_every_code_and_asks_nobody_else(
    open_service: Service, spec: dict[str, Any]
) -> None:
    page = open_service.client.get("/docs").text
    for method, path in EXAMPLES:
        assert f"<b>{method}</b> {path}" in page
    for kind in problems.STATUS:
        assert f'id="{kind.code}"' in page or kind.code == "error"
    assert "<script" not in page
    assert " style=" not in page
    assert set(re.findall(r'(?:src|href)="([^"#]+)"', page)) == {"/docs/style.css", "/openapi.json"}
    style = open_service.client.get("/docs/style.css")
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
