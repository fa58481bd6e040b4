"""The OpenAPI document and the service hold each other to their word, as every kind of caller, by schemathesis.

Every check is on: no 5xx, documented status, type and shape, what fits is taken, what does not fit is refused, no method too
many, no key is ever ignored, what was made is there and what was deleted is gone. Calls that a schema leads to (a prediction's
id into its photo) are found by schemathesis and walked in its stateful phase.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from tests.api.conftest import SICK, Service, Start, jpeg
from tests.conftest import ROOT
from tests.learning.labelled import Labelled
from tests.tiny_models import BANANA, tiny_bundle

from leafloop import access
from leafloop.learning import registry
from leafloop.learning.words import feedback
from leafloop.learning.words.feedback import Author, Word
from leafloop.live import promotion
from leafloop.storage import reviews, snapshots
from leafloop.storage.tables import Prediction, TrainingData

SMALL = {"width": 96, "height": 80}  # pixels: an answer in milliseconds
NOBODY = "no key"

CONFIG = """
hooks = "tests.api.contract_values"
[warnings]
fail-on = [{fail_on}"validation_mismatch", "unsupported_regex", "method_not_allowed", "unused_openapi_auth"]
[output.truncation]
enabled = false
[checks.negative_data_rejection]
# Its own list, and 413: a list that is too long may be too many bytes as well, and those are counted first.
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx"]
[dictionaries.ids]
values = {ids}
[dictionaries.uploads]
values = {uploads}
[dictionaries.words]
values = {words}
[dictionaries.items]
values = {items}
[dictionaries.labels]
values = {labels}
[dictionaries.versions]
values = ["1", "2"]
[dictionaries.snapshots]
values = {snapshots}
[parameters]
"path.prediction_id" = {{ dictionary = "ids", probability = 0.8 }}
"path.upload_id" = {{ dictionary = "uploads", probability = 0.8 }}
"path.feedback_id" = {{ dictionary = "words", probability = 0.9 }}
"path.item_id" = {{ dictionary = "items", probability = 0.8 }}
"path.label_id" = {{ dictionary = "labels", probability = 0.8 }}
"body.prediction_id" = {{ dictionary = "ids", probability = 0.8 }}
"path.hash" = {{ dictionary = "snapshots", probability = 0.8 }}
"body.version" = {{ dictionary = "versions", probability = 0.8 }}
[[operations]]
# These uploads are whole, so no piece is taken any more, and some are deleted on the walk: tests/api/test_uploads.py.
include-name = "PATCH /api/v1/uploads/{{upload_id}}"
warnings = false
[[operations]]
# Cases go with their answers, which are deleted on the walk: tests/api/test_review.py.
include-name = "POST /api/v1/review/items/{{item_id}}/decision"
warnings = false
"""
# Only an operator is let in everywhere: for the others it says nothing that a call never found what it asked for.
FOUND = '"missing_test_data", '


def two_models(service: Service, folder: Path) -> None:
    """A second model, promoted: then there is one to go back to."""
    bundle, parts = tiny_bundle(folder, name="second"), service.parts
    version = registry.add_bundle(bundle, parts.ledger, parts.blobs, source="test", actor="test")
    promotion.promote(parts, version, reason="to have two", actor="test")


def seeded(service: Service, headers: dict[str, str]) -> dict[str, str]:
    """Ids of answers that this caller may see, of words on them, of their cases, and of labels, as lists in JSON."""
    photos = [jpeg((SICK, (10, 10, 30 + n, 60)), **SMALL) for n in range(20)]
    ids = [service.predict(photo, headers=headers).json()["prediction_id"] for photo in photos]
    with service.parts.ledger.transaction() as session:
        answers = [session.get_one(Prediction, prediction_id) for prediction_id in ids]
        said = [(answer, Author(answer.key_id, user)) for answer in answers for user in (None, "ana", "ben", "eva")]
        words = [feedback.submit(session, BANANA, answer, author, Word(True)).id for answer, author in said]
        items = [item.id for answer in answers if (item := reviews.of_prediction(session, answer.id))]
        labels = [labelled(session, answer) for answer in answers]
    found = {"ids": ids, "words": words, "items": items, "labels": labels}
    return {name: json.dumps(values) for name, values in found.items()}


def labelled(session: Session, answer: Prediction) -> str:
    """A label of a photo like this answer's."""
    photo = {"image_path": answer.image_path, "image_hash": uuid.uuid4().hex * 2, "width": 96, "height": 80}
    label = TrainingData(**photo, outcome="no_leaf", strength="strong", bbox_data=[], source="seed", is_validated=True)
    session.add(label)
    session.flush()
    return label.id


def snapshot_of(service: Service) -> str:
    """The hash of a snapshot: of labels of its own, the same each time."""
    place = Labelled(service.parts.ledger, service.parts.blobs)
    with service.parts.ledger.reading() as session:
        there = snapshots.newest(session, 1)
    if not there:
        for n in range(6):
            place.add(f"p{n}", 1 + n % 3, stored=place.blobs.put(jpeg((SICK, (5, 5, 20 + n, 40)), **SMALL)))
    return there[0].hash if there else place.make().hash


def begun(service: Service, headers: dict[str, str], number: int) -> str:
    """The id of a photo that came in one piece, and is answered."""
    photo, at = jpeg((SICK, (10, 10, 30 + number, 60)), **SMALL), "/api/v1/uploads"
    own = {**headers, "Upload-Length": str(len(photo)), "Idempotency-Key": secrets.token_hex(8)}
    place = service.client.post(at, headers=own).headers["location"]
    piece = {**headers, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    assert service.client.patch(place, content=photo, headers=piece).status_code == 204
    return str(place).removeprefix(f"{at}/")


# An open service asks for no key, and its document is that of a keyed one: a service may be closed while it runs.
OPEN = """
[checks]
ignored_auth = { enabled = false }
[generation]
with-security-parameters = false
"""


def walk(service: Service, folder: Path, role: str, *options: str) -> None:
    """Let schemathesis walk the document as this caller. Fails with its report."""
    open_ = not service.ids
    owner = service.key(role if role in access.ROLES else "field") if not open_ else {}
    uploads = json.dumps([begun(service, owner, number) for number in range(25)])
    snapshots = json.dumps([snapshot_of(service)])
    found = FOUND if role == "operator" else ""
    config = CONFIG.format(**seeded(service, owner), uploads=uploads, snapshots=snapshots, fail_on=found)
    if role in access.ROLES:
        config += f'[auth.openapi.key]\nbearer = "{owner["Authorization"].removeprefix("Bearer ")}"\n'
    (folder / "schemathesis.toml").write_text(config + OPEN * open_)
    command = [sys.executable, "-m", "schemathesis.cli", "run", "--no-color", "--request-timeout", "20"]
    done = subprocess.run(
        [*command, *options, str(service.client.base_url.join("/openapi.json"))],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr


EVERYBODY = [NOBODY, *access.ROLES]
EACH_RULE = ("--generation-deterministic", "--max-examples", "3")
A_FEW = (*EACH_RULE, "--phases", "fuzzing,stateful")
# The same cases each time, on every machine: a walk at random, or until a time is over, finds now and then what is a quirk of the tool.
MANY = ("--generation-deterministic", "--max-examples", "15")


@pytest.fixture(scope="module")
def keyed(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Service:
    service = start()
    service.key("operator")
    two_models(service, tmp_path_factory.mktemp("model") / "second")
    return service


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_each_rule_of_the_document_holds_for_an_operator(keyed: Service, tmp_path: Path) -> None:
    """The coverage phase: each rule kept once, and broken once. The three calls for a photo share theirs: one stands for all."""
    walk(keyed, tmp_path, "operator", *EACH_RULE, "--exclude-path-regex", "/classify")


@pytest.mark.parametrize("role", EVERYBODY[:-1])
def test_every_other_caller_gets_what_is_documented(keyed: Service, tmp_path: Path, role: str) -> None:
    walk(keyed, tmp_path, role, *A_FEW)


def test_an_open_service_does_what_is_documented(start: Start, tmp_path: Path) -> None:
    walk(start(), tmp_path, NOBODY, *A_FEW)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", EVERYBODY)
def test_many_tries_find_no_gap_in_the_document(keyed: Service, tmp_path: Path, role: str) -> None:
    walk(keyed, tmp_path, role, *MANY)
