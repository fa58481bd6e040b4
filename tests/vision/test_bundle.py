"""A bundle is opened only when all of it is what it says: each way to be wrong is refused, by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.tiny_models import detector, facts, tiny_bundle

from leafloop.errors import BundleRejected
from leafloop.vision import onnx_check
from leafloop.vision.bundle import Bundle, canonical, open_bundle, write_bundle

MODEL = detector()


def rewrite(made: Bundle, change: Callable[[dict[str, Any]], None]) -> Path:
    """The same folder with a changed manifest, in canonical form."""
    path = made.path / "manifest.json"
    data = json.loads(path.read_bytes())
    change(data)
    path.write_bytes(canonical(data))
    return made.path


def test_a_bundle_comes_back_as_it_was_written_and_its_hash_is_of_the_manifest(tmp_path: Path):
    made = tiny_bundle(tmp_path / "b", {"MODEL_CARD.md": b"# tiny"})
    again = open_bundle(tmp_path / "b", expected_hash=made.hash)
    assert again == made
    assert again.taxonomy.class_names[0] == "Healthy"
    assert again.read("MODEL_CARD.md") == b"# tiny"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b"], "nothing temporary is left"


def test_equal_facts_have_equal_hashes_and_writing_twice_changes_nothing(tmp_path: Path):
    assert tiny_bundle(tmp_path / "a").hash == tiny_bundle(tmp_path / "b").hash
    assert tiny_bundle(tmp_path / "a").hash == tiny_bundle(tmp_path / "b").hash


def test_another_bundle_is_not_written_over_one(tmp_path: Path):
    made = tiny_bundle(tmp_path / "b")
    with pytest.raises(BundleRejected, match="was expected"):
        tiny_bundle(tmp_path / "b", name="other")
    assert open_bundle(tmp_path / "b").hash == made.hash
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_a_bundle_that_would_not_open_is_never_written(tmp_path: Path):
    with pytest.raises(BundleRejected):
        write_bundle(tmp_path / "b", facts(), {"model.onnx": b"no model"})
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_not_the_one_that_the_registry_vouches_for(tmp_path: Path):
    made = tiny_bundle(tmp_path / "b")
    with pytest.raises(BundleRejected, match="was expected"):
        open_bundle(made.path, expected_hash="0" * 64)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda m: m.update(format=2), "format"),
        (lambda m: m.update(extra=1), "extra"),
        (lambda m: m.pop("licence"), "licence"),
        (lambda m: m["input"].update(colour_order="rbg"), "colour_order"),
        (lambda m: m["input"].update(size=100), "size"),
        (lambda m: m["input"].update(size="256"), "size"),
        (lambda m: m["output"].update(layout="xywh"), "layout"),
        (lambda m: m["output"].update(nms=True), "nms"),
        (lambda m: m["tiling"].update(overlap=256), "overlap"),
        (lambda m: m["thresholds"].update(reliable=0.1), "reliable"),
        (lambda m: m["thresholds"].update(detect=2.0), "detect"),
        (lambda m: m["taxonomy"].update(classes=[]), "taxonomy"),
        (lambda m: m["taxonomy"]["classes"].append({**m["taxonomy"]["classes"][6], "name": "Stage7"}), "needs 12"),
        (lambda m: m["files"].update({"../evil": m["files"]["model.onnx"]}), "no file"),
        (lambda m: m["files"].update({"model.pt": m["files"]["model.onnx"]}), "no file"),
        (lambda m: m["files"].pop("model.onnx"), "model.onnx"),
        (lambda m: m["files"]["model.onnx"].update(bytes=2**40), "over"),
        (lambda m: m["files"]["model.onnx"].update(bytes=7), "over 7 bytes"),
        (lambda m: m["files"]["model.onnx"].update(sha256="0" * 64), "damaged or changed"),
        (lambda m: m.update(selftest={"photo": "selftest.jpg", "class_name": None, "outcome": "no_leaf"}), "self-test"),
        (lambda m: m["input"].update(size=128), "the manifest says 128"),
        (lambda m: m["output"].update(objectness=True), "needs 12"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused_by_the_place(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], word: str
):
    folder = rewrite(tiny_bundle(tmp_path / "b"), change)
    with pytest.raises(BundleRejected, match=word):
        open_bundle(folder)


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "not plain JSON"),
        (b"\xff\xfe", "not plain JSON"),
        (b'{"format": 1}', "canonical"),
        (b'{"a":1,"a":2}\n', "canonical"),
        (b'{"a":NaN}\n', "not a number"),
        (b"[" * 200_000, "not plain JSON"),
        (b"[]\n", "manifest"),
        (b" " * (2**20 + 1), "over 1048576 bytes"),
    ],
)
def test_a_manifest_that_is_no_plain_canonical_json_is_refused(tmp_path: Path, raw: bytes, word: str):
    made = tiny_bundle(tmp_path / "b")
    (made.path / "manifest.json").write_bytes(raw)
    with pytest.raises(BundleRejected, match=word):
        open_bundle(made.path)


def test_free_facts_may_be_anything_that_json_can_say(tmp_path: Path):
    made = tiny_bundle(tmp_path / "b", metrics={"map50": 0.9, "by": [1, None]}, lineage={"seed": 3})
    assert open_bundle(made.path).manifest.metrics == {"map50": 0.9, "by": [1, None]}


def test_files_that_nobody_named_and_files_that_are_not_there_are_refused(tmp_path: Path):
    made = tiny_bundle(tmp_path / "b")
    (made.path / "model.onnx.data").write_bytes(b"x")
    with pytest.raises(BundleRejected, match="does not name"):
        open_bundle(made.path)
    (made.path / "model.onnx.data").unlink()
    (made.path / "model.onnx").unlink()
    with pytest.raises(BundleRejected, match="lacks"):
        open_bundle(made.path)
    with pytest.raises(BundleRejected, match="cannot be read"):
        open_bundle(tmp_path / "nowhere")


def test_links_and_pipes_are_no_files(tmp_path: Path):
    made = tiny_bundle(tmp_path / "b")
    path = made.path / "model.onnx"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleRejected, match="link"):
        open_bundle(made.path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BundleRejected, match="no plain file"):
        open_bundle(made.path)


def test_weights_are_safetensors_and_never_a_pickle(tmp_path: Path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    tiny_bundle(tmp_path / "a", {"weights.safetensors": len(header).to_bytes(8, "little") + header + b"\0" * 4})
    with pytest.raises(BundleRejected, match="pickle"):
        tiny_bundle(tmp_path / "b", {"weights.safetensors": b"PK\x03\x04 a zip of pickles, as .pt files are"})


def onnx_file(*nodes: onnx.NodeProto, constants: list[TensorProto] | None = None, **more: Any) -> bytes:
    """The tiny detector with something added to it that nothing needs."""
    model = onnx.load_model_from_string(MODEL)
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(constants or [])
    for domain in more.get("domains", ()):
        model.opset_import.append(helper.make_opsetid(domain, 1))
    return model.SerializeToString()


def external() -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "far")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return tensor


def huge() -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "huge")
    tensor.dims[:] = [2**20, 2**20]
    return tensor


def loop() -> onnx.NodeProto:
    out = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    body = helper.make_graph([helper.make_node("Identity", ["image"], ["x"])], "b", [], [out])
    return helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "holds no model"),
        (MODEL[:-100], "cut off|not consistent|exactly one"),
        (b"\x80\x04\x95 a pickle", "cut off"),
        (onnx_file(constants=[external()]), "other files"),
        (onnx_file(helper.make_node("Constant", [], ["k"], value=external())), "other files"),
        (onnx_file(constants=[huge()]), "too large"),
        (onnx_file(helper.make_node("Evil", ["image"], ["e"])), "unknown operator"),
        (onnx_file(helper.make_node("Relu", ["image"], ["e"], domain="com.evil")), "unknown operator"),
        (onnx_file(domains=["com.microsoft"]), "not plain ONNX: com.microsoft"),
        (onnx_file(loop(), constants=[numpy_helper.from_array(np.array(True), "yes")]), "graph inside a graph"),
        (onnx_file(helper.make_node("Relu", ["nowhere"], ["e"])), "not consistent"),
        (
            onnx_file(
                helper.make_node("ConstantOfShape", ["dims"], ["bomb"]),
                constants=[numpy_helper.from_array(np.array([2**20, 2**20]), "dims")],
            ),
            "too large",
        ),
    ],
)
def test_an_onnx_file_that_is_not_safe_is_refused_by_its_reason(tmp_path: Path, data: bytes, word: str):
    with pytest.raises(BundleRejected, match=word):
        write_bundle(tmp_path / "b", facts(), {"model.onnx": data})


def test_an_onnx_file_is_measured_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(onnx_check, "MAX_BYTES", 100)
    monkeypatch.setattr(onnx_check, "_parse", lambda _: pytest.fail("it was parsed"))
    with pytest.raises(BundleRejected, match="at most 100"):
        onnx_check.check(MODEL)


def test_a_model_with_functions_or_two_outputs_is_refused():
    model = onnx.load_model_from_string(MODEL)
    model.functions.append(helper.make_function("own", "f", ["a"], ["b"], [], []))
    with pytest.raises(BundleRejected, match="functions"):
        onnx_check.check(model.SerializeToString())
    model = onnx.load_model_from_string(MODEL)
    model.graph.output.append(helper.make_tensor_value_info("n0", TensorProto.FLOAT, ["batch", 3, 256, 256]))
    with pytest.raises(BundleRejected, match="exactly one output"):
        onnx_check.check(model.SerializeToString())
