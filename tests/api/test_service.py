"""What the service says about itself, whole and with a part missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.api import shapes
from tests.api.conftest import NO_MODEL, Service, Start
from tests.servers import wait_until
from tests.tiny_models import BANANA

import leafloop


def test_health_says_that_the_process_answers(open_service: Service) -> None:
    answer = open_service.client.get("/health")
    assert answer.json() == {"status": "ok", "message": "API is running"}
    assert open_service.client.head("/health").status_code == 200


def test_the_root_is_json_for_programs_and_a_page_for_browsers(open_service: Service) -> None:
    for accept in ("application/json", "*/*"):
        body = open_service.client.get("/", headers={"Accept": accept}).json()
        assert set(body) == {"message", "version", "endpoints"}
        assert body["version"] == leafloop.__version__
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    assert open_service.client.get("/", headers=browser).headers["content-type"].startswith("text/html")


def test_the_endpoints_that_the_root_names_exist(open_service: Service) -> None:
    for path in open_service.client.get("/").json()["endpoints"].values():
        assert open_service.client.get(path).status_code not in (404, 500)


def test_ready_says_the_state_of_each_part(open_service: Service) -> None:
    answer = open_service.client.get("/ready")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "ready")
    assert {name: body[name]["state"] for name in ("database", "objects", "decoders", "model")} == {
        "database": "up", "objects": "up", "decoders": "up", "model": "up",
    }  # fmt: skip
    assert "Model 1 answers" in body["model"]["detail"]
    shapes.check(open_service.client, "GET", "/ready", body)


def lose_the_database(home: Path) -> None:
    for file in home.glob("leafloop.db*"):
        file.unlink()
    (home / "leafloop.db").write_bytes(b"this is no database, and it is long enough to be read as one" * 100)


def lose_the_objects(home: Path) -> None:
    shutil.rmtree(home / "blobs")
    (home / "blobs").write_text("a file where the folder was")


@pytest.mark.parametrize(("part", "lose"), [("database", lose_the_database), ("objects", lose_the_objects)])
def test_ready_is_503_and_health_still_well_when_a_part_is_away(start: Start, part: str, lose: Any) -> None:
    broken = start()
    broken.parts.ledger.close()
    lose(broken.parts.settings.home)
    answer = broken.client.get("/ready")
    body = answer.json()
    assert (answer.status_code, body["status"], body[part]["state"]) == (503, "not_ready", "down")
    assert str(broken.parts.settings.home) not in answer.text  # where things lie is the operator's business
    others = {"database", "objects", "decoders", "model"} - {part}
    assert {body[name]["state"] for name in others} == {"up"}
    assert broken.client.get("/health").status_code == 200
    if part == "objects":
        gauge = 'leafloop_dependency_up{part="objects"} 0.0'
        # One process's tests share their gauges: another service of this module may have said that its objects are up.
        wait_until(lambda: gauge in broken.client.get("/metrics", headers={}).text, "the gauge", within=15)


def test_without_a_model_it_starts_says_so_and_answers_no_photo(start: Start) -> None:
    empty = start(bundled=NO_MODEL)
    assert empty.client.get("/ready").json()["model"]["state"] == "down"
    refused = empty.predict()
    assert (refused.status_code, refused.json()["code"]) == (503, "model_unavailable")
    info = empty.client.get("/model/info").json()
    assert (info["num_classes"], info["model"]) == (len(BANANA.classes), None)
    assert empty.client.get("/api/v1/mlops/champion").status_code == 404
    assert empty.client.get("/api/v1/mlops/status").json()["production"] == {"version": None, "run_id": None}
    assert "mlops_model_version{" not in empty.client.get("/api/v1/mlops/metrics").text


def test_model_info_tells_what_answers_and_what_it_takes(open_service: Service) -> None:
    info = open_service.client.get("/model/info").json()
    assert (info["model"]["name"], info["model"]["version"]) == ("tiny", "1")
    assert info["input"]["input"]["size"] == 256
    assert info["licence"] == "Apache-2.0"
    shapes.check(open_service.client, "GET", "/model/info", info)


def test_metrics_count_routes_by_template_and_name_nobody(service: Service) -> None:
    headers = service.key("field", "maria")
    prediction_id = service.predict(headers=headers, user_id="maria-the-grower").json()["prediction_id"]
    service.client.get(f"/api/v1/db/predictions/{prediction_id}", headers=headers)
    service.client.request("BREW", "/coffee", headers=headers)
    text = service.client.get("/metrics", headers=headers).text
    assert re.search(r'_count\{code="200",method="GET",route="/api/v1/db/predictions/\{prediction_id\}"\} [1-9]', text)
    assert re.search(r'_count\{code="404",method="OTHER",route="unmatched"\} [1-9]', text)
    for secret in (prediction_id, "maria-the-grower", service.ids["maria"], "BREW", "coffee", "leaf.jpg"):
        assert secret not in text


def test_every_answer_carries_the_security_headers(open_service: Service) -> None:
    for path in ("/health", "/docs", "/openapi.json", "/api/v1/nothing", "/api/v1/db/predictions", "/metrics"):
        headers = open_service.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_a_request_keeps_its_id_when_it_is_safe_and_gets_one_otherwise(open_service: Service) -> None:
    asked = open_service.client
    assert asked.get("/health", headers={"X-Request-ID": "a.B_c-1"}).headers["x-request-id"] == "a.B_c-1"
    for unsafe in ("", "a b", "x" * 65, "a;b", "../../x"):
        given = asked.get("/health", headers={"X-Request-ID": unsafe}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{32}", given)
