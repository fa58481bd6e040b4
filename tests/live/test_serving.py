"""Which model answers: replicas follow the pointer, load beside, and never mix two models in one answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from tests.live.conftest import BLUE, RED, add, load_once, picture, send, variant
from tests.tiny_models import tiny_bundle

from leafloop.errors import BundleRejected, ModelUnavailable, StorageError
from leafloop.live import serving as serving_module
from leafloop.live.parts import Parts, open_parts
from leafloop.live.promotion import promote, rollback
from leafloop.live.serving import Live, Serving, Wanted
from leafloop.settings import Settings
from leafloop.vision.bundle import Bundle

WAIT = 20


def go(parts: Parts, version: str) -> None:
    promote(parts, version, reason="a test", actor="olga")


def eventually(well: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not well():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


class Loads:
    """Loads models by name, notes each attempt, and fails as it is told to."""

    def __init__(self, bundles: list[Bundle]) -> None:
        self._bundles = {bundle.hash: bundle for bundle in bundles}
        self.names: list[str] = []
        self.fail: dict[str, BaseException] = {}

    def __call__(self, wanted: Wanted) -> Live:
        self.names.append(wanted.name)
        if wanted.name in self.fail:
            raise self.fail[wanted.name]
        reader = load_once(self._bundles[wanted.bundle_hash], threads=1, precision="f32")
        return Live(wanted.version, wanted.name, wanted.bundle_hash, reader)


@pytest.fixture
def loads(rgb: Bundle, bgr: Bundle) -> Loads:
    return Loads([rgb, bgr])


@pytest.fixture
def serving(parts: Parts, loads: Loads, bgr: Bundle) -> Iterator[Serving]:
    """Follows only when told to. `rgb` is version 1 and champion, `bgr` is version 2."""
    add(parts, bgr)
    made = Serving(parts.ledger, loads)
    yield made
    made.close()


def test_the_first_call_loads_what_the_ledger_names_and_the_next_do_not(
    serving: Serving, loads: Loads, rgb: Bundle
) -> None:
    assert serving.ready() == (False, "The model is not loaded yet.")
    live = serving.current()
    assert (live.version, live.name, live.bundle_hash) == ("1", "rgb", rgb.hash)
    assert serving.current() is live
    assert loads.names == ["rgb"]
    assert serving.ready() == (True, "Model 1 answers.")


def test_it_follows_the_pointer_and_goes_back_without_loading_again(
    parts: Parts, serving: Serving, loads: Loads
) -> None:
    first = serving.current()
    go(parts, "2")
    assert serving.current() is first
    serving.look()
    assert serving.current().name == "bgr"
    rollback(parts, reason="worse", actor="olga")
    serving.look()
    assert serving.current() is first
    assert loads.names == ["rgb", "bgr"]
    state = serving.state()
    assert (state["live"]["version"], state["previous"]["version"], state["failed"]) == ("1", "2", None)


def test_metrics_name_the_one_model_that_answers(parts: Parts, serving: Serving, rgb: Bundle, bgr: Bundle) -> None:
    serving.current()
    go(parts, "2")
    serving.look()
    assert REGISTRY.get_sample_value("leafloop_model_info", {"version": "2", "sha": bgr.hash}) == 1
    assert REGISTRY.get_sample_value("leafloop_model_info", {"version": "1", "sha": rgb.hash}) is None


@pytest.mark.parametrize(
    "error", [BundleRejected("not sound"), StorageError("away"), RuntimeError("native"), MemoryError()]
)
def test_a_model_that_does_not_load_leaves_the_old_one_answering_and_is_told_of(
    parts: Parts, serving: Serving, loads: Loads, error: BaseException
) -> None:
    first = serving.current()
    loads.fail["bgr"] = error
    go(parts, "2")
    serving.look()
    assert serving.current() is first
    well, detail = serving.ready()
    assert well
    assert "Model 1 answers" in detail
    assert "Model 2 was not taken" in detail
    assert serving.state()["failed"]["version"] == "2"
    rollback(parts, reason="it does not load", actor="olga")
    serving.look()
    assert serving.ready() == (True, "Model 1 answers.")


def test_a_bad_bundle_is_tried_once_and_a_store_that_was_away_is_asked_again(
    parts: Parts, serving: Serving, loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.current()
    loads.fail["bgr"] = BundleRejected("not sound")
    go(parts, "2")
    monkeypatch.setattr(serving_module, "RETRY_S", 0.0)
    for _ in range(3):
        serving.look()
    assert loads.names == ["rgb", "bgr"]
    rollback(parts, reason="back", actor="olga")
    serving.look()
    go(parts, "2")  # an operator's word is a reason to try again
    loads.fail["bgr"] = StorageError("away")
    for _ in range(3):
        serving.look()
    assert loads.names == ["rgb", "bgr", "bgr", "bgr", "bgr"]
    monkeypatch.setattr(serving_module, "RETRY_S", 60.0)
    serving.look()
    assert len(loads.names) == 5
    monkeypatch.setattr(serving_module, "RETRY_S", 0.0)
    loads.fail.clear()
    serving.look()
    assert serving.current().name == "bgr"


def test_without_any_model_it_says_what_to_do(settings: Settings, tmp_path: Path, rgb: Bundle) -> None:
    with open_parts(settings, bundled=tmp_path) as parts:
        with pytest.raises(ModelUnavailable, match="leafloop models promote"):
            parts.serving.current()
        well, detail = parts.serving.ready()
        assert not well
        assert "No model was promoted" in detail
        go(parts, add(parts, rgb))
        assert parts.serving.current().name == "rgb"


def test_a_first_model_that_does_not_load_is_why_nothing_is_ready(serving: Serving, loads: Loads) -> None:
    loads.fail["rgb"] = BundleRejected("its hash is not the one that was vouched for")
    with pytest.raises(ModelUnavailable, match="vouched for"):
        serving.current()
    assert serving.ready() == (False, "Model 1 was not taken: its hash is not the one that was vouched for")


def test_a_ledger_that_is_away_changes_nothing(parts: Parts, serving: Serving) -> None:
    first = serving.current()
    file = parts.settings.home / "leafloop.db"
    parts.ledger.close()
    file.rename(file.with_name("aside"))
    file.mkdir()
    serving.look()
    assert serving.current() is first
    assert serving.state()["ledger"]
    assert serving.ready()[0]


def test_the_service_follows_by_itself_and_at_once_when_it_is_woken(parts: Parts, loads: Loads, bgr: Bundle) -> None:
    add(parts, bgr)
    idle = Serving(parts.ledger, loads, poll_seconds=60)
    idle.start()
    parts.serving.start()
    try:
        go(parts, "2")
        eventually(lambda: parts.serving.current().name == "bgr")  # by its own look, every 0.05 s
        assert idle.current().name == "rgb"
        idle.look_now()
        eventually(lambda: idle.current().name == "bgr")
    finally:
        began = time.monotonic()
        idle.close()
        assert time.monotonic() - began < 5


def test_a_bundle_that_was_damaged_in_the_store_is_not_served(parts: Parts, bgr: Bundle) -> None:
    go(parts, add(parts, bgr))
    model = bgr.manifest.files["model.onnx"].sha256
    place = parts.settings.home / "blobs" / model[:2] / model[2:4] / model
    place.chmod(0o644)
    place.write_bytes(b"\0" * 100)
    with pytest.raises(ModelUnavailable, match="matches its hash"):
        parts.serving.current()


def test_a_model_that_fails_its_own_self_test_is_not_served(parts: Parts, tmp_path: Path, rgb: Bundle) -> None:
    photo = {"selftest.jpg": picture(BLUE, form="JPEG", quality=95), "model.onnx": rgb.read("model.onnx")}
    told = {"photo": "selftest.jpg", "class_name": parts.taxonomy.class_names[RED], "outcome": "diseased"}
    liar = tiny_bundle(tmp_path / "liar", photo, name="liar", selftest=told)
    first = parts.serving.current()
    go(parts, add(parts, liar))
    parts.serving.look()
    assert parts.serving.current() is first
    assert "self-test" in parts.serving.ready()[1]


def test_under_load_each_answer_is_by_one_model_and_none_is_dropped(
    parts: Parts, bgr: Bundle, tmp_path: Path, rgb: Bundle
) -> None:
    """`rgb` sees red in a red photo, `bgr` blue: an answer that mixes them would name the wrong class."""
    versions = {"1": RED, add(parts, bgr): BLUE, add(parts, variant(rgb, tmp_path / "third", "third")): RED}
    parts.serving.start()
    stop, bodies, errors = threading.Event(), [], []
    data = picture(RED)

    def keep_asking() -> None:
        while not stop.is_set():
            try:
                bodies.append(send(parts, data))
            except Exception as error:
                errors.append(error)

    askers = [threading.Thread(target=keep_asking) for _ in range(4)]
    for asker in askers:
        asker.start()
    try:
        for version in ("2", "3", "1", "2"):
            go(parts, version)
            eventually(lambda version=version: parts.serving.current().version == version)  # type: ignore[misc]
            seen = len(bodies)
            eventually(lambda seen=seen: len(bodies) > seen + 4)  # type: ignore[misc]
    finally:
        stop.set()
        for asker in askers:
            asker.join(WAIT)
    assert errors == []
    assert {body["model"]["version"] for body in bodies} == {"1", "2", "3"}
    assert all(body["class_id"] == versions[body["model"]["version"]] for body in bodies)
    assert all(len(body["detections"]) == 1 for body in bodies)
