"""Holds an answer to the schema of the running service's own OpenAPI document."""

from __future__ import annotations

from typing import Any

import httpx
import jsonschema


def check(client: httpx.Client, method: str, path: str, body: Any, status: str = "200") -> None:
    """Raise unless `body` fits what the document says of this call."""
    spec = client.get("/openapi.json").json()
    schema = spec["paths"][path][method.lower()]["responses"][status]["content"]["application/json"]["schema"]
    whole = {**schema, "components": spec["components"]}
    jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(body)
