"""Moving the pointer over HTTP: what the older client reads, who may, and that the service follows."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.api import shapes
from tests.api.conftest import Service, Start
from tests.tiny_models import BANANA, tiny_bundle

from leafloop.learning import registry
from leafloop.storage import audit
from leafloop.vision.bundle import open_bundle

MLOPS = "/api/v1/mlops"


@pytest.fixture(scope="module")
def two_models(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service that answers with version 1 and knows version 2."""
    begun = start(LEAFLOOP_POINTER_POLL_SECONDS="0.2")
    folder = tmp_path_factory.mktemp("second") / "bundle"
    tiny_bundle(folder, metrics={"map50": 0.9}, lineage={"mlflow_run_id": "run-2"})
    added = registry.add_bundle(open_bundle(folder), begun.parts.ledger, begun.parts.blobs, source="test", actor="test")
    assert added == "2"
    begun.key("operator")
    return begun


def answers_with(service: Service, version: str) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if service.client.get("/model/info").json()["model"]["version"] == version:
            return True
        time.sleep(0.1)
    return False


def test_promote_and_rollback_move_what_answers_and_say_who_and_why(two_models: Service) -> None:
    client, operator = two_models.client, two_models.key("operator")
    moved = client.post(f"{MLOPS}/promote", headers=operator, json={"version": "2", "reason": "better"})
    assert moved.json() == {"ok": True, "message": "Model 2 answers from now on.", "version": "2", "previous": "1"}
    assert answers_with(two_models, "2")
    assert two_models.predict(headers=operator).json()["model"]["version"] == "2"
    shapes.check(client, "POST", f"{MLOPS}/promote", moved.json())

    status = client.get(f"{MLOPS}/status", headers=operator).json()
    assert status["production"] == {"version": "2", "run_id": "run-2"}
    assert (
        'mlops_model_version{model="tiny",stage="production"} 2'
        in client.get(f"{MLOPS}/metrics", headers=operator).text
    )
    champion = client.get(f"{MLOPS}/champion", headers=operator).json()
    assert (champion["version"], champion["previous"], champion["loaded"]) == ("2", "1", True)
    shapes.check(client, "GET", f"{MLOPS}/champion", champion)
    listed = client.get(f"{MLOPS}/models", headers=operator).json()
    assert [(m["version"], m["aliases"]) for m in listed["items"]] == [("2", ["champion"]), ("1", ["previous"])]
    assert listed["items"][0]["metrics"] == {"map50": 0.9}
    shapes.check(client, "GET", f"{MLOPS}/models", listed)

    back = client.post(f"{MLOPS}/rollback", headers=operator, json={"reason": "worse in the field"})
    assert (back.json()["ok"], back.json()["version"], back.json()["previous"]) == (True, "1", "2")
    assert answers_with(two_models, "1")
    with two_models.parts.ledger.reading() as session:
        found = [(e.actor, e.action, e.subject, e.reason) for e in audit.latest(session, 2)]
    who = f"key:{two_models.ids['operator']}"
    assert found == [(who, "rollback", "1", "worse in the field"), (who, "promote", "2", "better")]


@pytest.mark.parametrize("version", ["2", 2])
def test_an_older_clients_rollback_names_a_version_and_no_reason(two_models: Service, version: str | int) -> None:
    body = {"version": version, "model_name": "banana"}
    answer = two_models.client.post(f"{MLOPS}/rollback", headers=two_models.key("operator"), json=body)
    assert set(answer.json()) >= {"ok", "message", "version"}
    assert answer.json()["version"] == "2"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"version": "99", "reason": "x"}, 404, "not_found"),
        ({"version": "1"}, 422, "request_invalid"),
        ({"version": "1", "reason": "  "}, 422, "request_invalid"),
        ({"version": "", "reason": "x"}, 422, "request_invalid"),
        ({"version": True, "reason": "x"}, 422, "request_invalid"),
        ({"version": "1", "reason": "a\x00b"}, 422, "request_invalid"),
        ({"version": "1\x00", "reason": "x"}, 422, "request_invalid"),
    ],
)
def test_a_promotion_that_cannot_be_is_refused(
    two_models: Service, body: dict[str, object], status: int, code: str
) -> None:
    answer = two_models.client.post(f"{MLOPS}/promote", headers=two_models.key("operator"), json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_model_of_another_class_set_is_not_promoted(two_models: Service, tmp_path: Path) -> None:
    other = BANANA.as_dict()
    other["classes"][0]["name"], other["advice"]["texts"] = "Other", {}
    tiny_bundle(tmp_path / "other", taxonomy=other)
    parts = two_models.parts
    version = registry.add_bundle(
        open_bundle(tmp_path / "other"), parts.ledger, parts.blobs, source="test", actor="test"
    )
    body = {"version": version, "reason": "try"}
    answer = two_models.client.post(f"{MLOPS}/promote", headers=two_models.key("operator"), json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "bundle_rejected")
