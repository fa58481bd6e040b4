"""An ONNX file becomes a bundle by what it says and what is measured; nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_models import BANANA, detector, photo

from leafloop.errors import BundleRejected
from leafloop.taxonomy import Taxonomy
from leafloop.vision import tiles
from leafloop.vision.detector import Detector
from leafloop.vision.onnx_import import from_onnx

NAMES = dict(enumerate(BANANA.class_names))
LIBRE = {
    "libreyolo_version": "1.6.0",
    "task": "detect",
    "names": json.dumps({str(k): v for k, v in NAMES.items()}),
    "imgsz": "256",
}
ULTRA = {"author": "Ultralytics", "task": "detect", "names": str(NAMES), "imgsz": "[256, 256]"}
KNOWN = [
    ({**LIBRE, "model_family": "yolo9"}, {}),
    (ULTRA, {"layout": "cxcywh"}),
    (
        {**LIBRE, "model_family": "yolox"},
        {
            "layout": "cxcywh",
            "colour_order": "bgr",
            "divide_by": 1.0,
            "objectness": True,
            "orientation": "anchors_first",
        },
    ),
]
ALL = {"layout": "xyxy", "colour_order": "rgb", "divide_by": 255.0, "objectness": False}


def saved(tmp_path: Path, **how: Any) -> Path:
    path = tmp_path / "my model.onnx"
    path.write_bytes(detector(**how))
    return path


@pytest.mark.parametrize(("metadata", "form"), KNOWN)
def test_exports_of_known_makers_say_themselves_how_they_are_read(
    tmp_path: Path, metadata: dict[str, str], form: dict[str, Any]
):
    made = from_onnx(saved(tmp_path, metadata=metadata, **form), BANANA, tmp_path / "b")
    grid = tiles.grid(256, 256)
    found = Detector(made, precision="f32").detect(tiles.cut(photo(256, 256, (3, (40, 60, 90, 100))), grid), grid)
    assert (found.class_id.tolist(), found.xyxy_px.round().tolist()) == ([3], [[40, 60, 90, 100]])
    assert made.manifest.name == "my-model"


def test_a_plain_file_is_refused_with_what_to_pass(tmp_path: Path):
    with pytest.raises(
        BundleRejected, match=r"--layout \(xyxy or cxcywh\), --colour-order .* --divide-by .* --objectness"
    ):
        from_onnx(saved(tmp_path), BANANA, tmp_path / "b")
    with pytest.raises(BundleRejected, match=r"says: --divide-by \(255 or 1\)\.$"):
        from_onnx(saved(tmp_path), BANANA, tmp_path / "b", **{**ALL, "divide_by": None})
    assert not (tmp_path / "b").exists()


def test_a_plain_file_is_taken_with_what_its_owner_says(tmp_path: Path):
    made = from_onnx(saved(tmp_path), BANANA, tmp_path / "b", **ALL, licence="MIT")
    assert made.manifest.output.orientation == "channels_first", "measured, not asked for"
    assert (made.manifest.licence, made.manifest.thresholds.vouch_healthy_below) == ("MIT", None)


def test_what_the_owner_says_is_probed(tmp_path: Path):
    with pytest.raises(BundleRejected, match="layout is xyxy"):
        from_onnx(saved(tmp_path), BANANA, tmp_path / "b", **{**ALL, "layout": "cxcywh"})


def test_other_class_names_are_refused_by_name(tmp_path: Path):
    names = str({**NAMES, 6: "Stage7"})
    with pytest.raises(BundleRejected, match=r"Stage7; those of banana-black-sigatoka are Healthy"):
        from_onnx(saved(tmp_path, metadata={**ULTRA, "names": names}, layout="cxcywh"), BANANA, tmp_path / "b")


def test_another_number_of_classes_is_refused_where_there_are_no_names(tmp_path: Path):
    plain = BANANA.as_dict()
    six = Taxonomy.from_dict({**plain, "classes": plain["classes"][:6], "advice": {"author": "a", "version": "1"}})
    with pytest.raises(BundleRejected, match="one side has to be 10"):
        from_onnx(saved(tmp_path), six, tmp_path / "b", **ALL)


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        ({**ULTRA, "task": "segment"}, "made for 'segment'"),
        ({**ULTRA, "end2end": "True"}, "NMS inside"),
        ({**ULTRA, "names": "__import__('os').system('true')"}, "names cannot be read"),
        ({**ULTRA, "names": "[" * 5000}, "names cannot be read"),
        ({**LIBRE, "model_family": "yolo99"}, "--layout"),
    ],
)
def test_metadata_is_read_as_plain_data_and_refused_where_it_does_not_fit(
    tmp_path: Path, metadata: dict[str, str], word: str
):
    with pytest.raises(BundleRejected, match=word):
        from_onnx(saved(tmp_path, metadata=metadata), BANANA, tmp_path / "b")


def test_a_model_for_whole_photos_keeps_its_own_size(tmp_path: Path):
    made = from_onnx(saved(tmp_path, size=416), BANANA, tmp_path / "b", **ALL, tiling="whole")
    assert (made.manifest.input.size, made.manifest.tiling.mode) == (416, "whole")
