"""The detector on a real (tiny) model: right boxes whatever the export, one answer however it is run, rubbish refused."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.tiny_models import detector as tiny_detector
from tests.tiny_models import facts, photo, tiny_bundle

from leafloop.errors import BundleRejected
from leafloop.vision import bundle, tiles
from leafloop.vision.detector import Detector

BLOBS = ((1, (30, 40, 60, 90)), (3, (200, 100, 250, 120)), (6, (500, 300, 590, 390)))
PIXELS = photo(600, 400, *BLOBS)
GRID = tiles.grid(600, 400)
FORMS = [  # every value of every choice with every value of each other choice
    ("xyxy", False, "channels_first", "bgr", 255.0),
    ("xyxy", True, "anchors_first", "rgb", 1.0),
    ("cxcywh", False, "anchors_first", "bgr", 1.0),
    ("cxcywh", True, "channels_first", "bgr", 1.0),
    ("cxcywh", True, "anchors_first", "rgb", 255.0),
    ("cxcywh", False, "channels_first", "rgb", 1.0),
    ("xyxy", True, "channels_first", "bgr", 255.0),
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return Detector(tiny_bundle(tmp_path_factory.mktemp("plain") / "b"), precision="f32")


def same(a, b) -> bool:
    return all((getattr(a, f) == getattr(b, f)).all() for f in ("xyxy_px", "confidence", "class_id", "tile"))


def test_boxes_are_in_photo_pixels_with_class_and_tile(plain: Detector):
    found = plain.detect(tiles.cut(PIXELS, GRID), GRID)
    rows = {
        (int(c), tuple(map(int, b)), int(t)) for b, c, t in zip(found.xyxy_px, found.class_id, found.tile, strict=True)
    }
    assert rows == {
        (1, (30, 40, 60, 90), 0),
        (3, (200, 100, 250, 120), 0),
        (3, (200, 100, 250, 120), 1),
        (6, (500, 300, 590, 390), 5),
    }
    assert (found.confidence > 0.99).all()


@pytest.mark.parametrize(("layout", "objectness", "orientation", "colour_order", "divide_by"), FORMS)
def test_every_form_of_export_gives_the_same_answer(
    tmp_path: Path,
    plain: Detector,
    layout: str,
    objectness: bool,
    orientation: str,
    colour_order: str,
    divide_by: float,
):
    made = tiny_bundle(
        tmp_path / "b",
        output={"layout": layout, "objectness": objectness, "orientation": orientation},
        input={"colour_order": colour_order, "divide_by": divide_by},
    )
    found, wanted = (
        Detector(made, precision="f32").detect(tiles.cut(PIXELS, GRID), GRID),
        plain.detect(tiles.cut(PIXELS, GRID), GRID),
    )
    assert np.allclose(found.xyxy_px, wanted.xyxy_px)
    assert (found.class_id == wanted.class_id).all()


def test_a_tiles_answer_does_not_depend_on_its_batch_or_on_the_order(plain: Detector):
    """37 tiles: two full batches and one that is filled up; noise, so that nothing is equal by luck."""
    noise = np.random.default_rng(0).integers(0, 256, (37, 256, 256, 3), dtype=np.uint8)
    noise[::3, 50:90, 60:99] = (255, 0, 0)
    grid = tiles.Grid(np.tile(np.array([[0, 0, 256, 256]]), (37, 1)), 256, 256, 256)
    together = plain.detect(noise, grid)
    shuffled = np.random.default_rng(1).permutation(37)
    assert same(together, plain.detect(noise[shuffled], grid, shuffled))
    alone = [plain.detect(noise[i : i + 1], grid, np.array([i])) for i in (0, 3, 36)]
    for number, one in zip((0, 3, 36), alone, strict=True):
        at = together.tile == number
        assert (together.xyxy_px[at] == one.xyxy_px).all()
        assert (together.confidence[at] == one.confidence).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_answer_does_not_depend_on_the_number_of_threads(tmp_path: Path, plain: Detector, threads: int):
    cut = tiles.cut(PIXELS, GRID)
    assert same(
        Detector(tiny_bundle(tmp_path / "b"), threads=threads, precision="f32").detect(cut, GRID),
        plain.detect(cut, GRID),
    )


def test_callers_in_many_threads_get_each_its_own_answer(plain: Detector):
    photos = [photo(256, 256, (k, (10 * k + 8, 20, 10 * k + 40, 60))) for k in range(7)]
    grid, answers = tiles.grid(256, 256), [None] * 7

    def ask(k: int) -> None:
        answers[k] = plain.detect(tiles.cut(photos[k], grid), grid)

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [a.class_id.tolist() for a in answers] == [[k] for k in range(7)]


def test_a_model_with_a_fixed_batch_is_run_in_that_batch(tmp_path: Path, plain: Detector):
    fixed = bundle.write_bundle(tmp_path / "b", facts(), {"model.onnx": tiny_detector(batch=1)})
    cut = tiles.cut(PIXELS, GRID)
    assert same(Detector(fixed, precision="f32").detect(cut, GRID), plain.detect(cut, GRID))


def test_boxes_end_at_the_photo_and_not_in_the_grey_around_it(plain: Detector):
    grid = tiles.grid(100, 80)
    found = plain.detect(tiles.cut(photo(100, 80, (2, (60, 40, 100, 80))), grid), grid)
    assert found.xyxy_px.tolist() == [[60, 40, 100, 80]]


def test_weak_finds_are_kept_down_to_the_floor_and_none_below(plain: Detector):
    grid = tiles.grid(256, 256)
    cut = tiles.cut(photo(256, 256, (1, (20, 20, 60, 60)), fade=56), grid)  # 1 - 4 * 56 / 255 = 0.12
    assert plain.detect(cut, grid).confidence == pytest.approx([0.12], abs=0.01)
    assert len(plain.detect(cut, grid, floor=0.2).tile) == 0


def test_no_tiles_give_no_detections(plain: Detector):
    none = np.array([], np.int64)
    assert len(plain.detect(tiles.cut(PIXELS, GRID, none), GRID, none).tile) == 0


def test_tiles_of_another_size_are_refused(plain: Detector):
    with pytest.raises(ValueError, match="are not 1 of 256 pixels"):
        plain.detect(np.zeros((1, 128, 128, 3), np.uint8), tiles.grid(128, 128, size=128))


def test_the_precision_is_pinned_and_an_unknown_one_refused(tmp_path: Path, plain: Detector):
    assert plain.precision == "f32"
    with pytest.raises(ValueError, match="precision"):
        Detector(tiny_bundle(tmp_path / "b"), precision="int3")


@pytest.mark.parametrize(
    ("real", "claimed", "word"), [("xyxy", "cxcywh", "the layout is xyxy"), ("cxcywh", "xyxy", "cxcywh")]
)
def test_a_layout_that_is_not_the_manifests_is_noticed(tmp_path: Path, real: str, claimed: str, word: str):
    """Both have the same shape; read wrongly, boxes are silent rubbish."""
    made = bundle.write_bundle(
        tmp_path / "b", facts(output={"layout": claimed}), {"model.onnx": tiny_detector(layout=real)}
    )
    with pytest.raises(BundleRejected, match=word):
        Detector(made, precision="f32")


def constant(value: float, boxes: tuple[float, float, float, float] = (10, 10, 50, 50)) -> bytes:
    """A model that answers the same to everything: four boxes, and all class scores at `value`."""
    answer = np.full((1, 11, 4), value, np.float32)
    answer[:, :4] = np.array(boxes, np.float32)[:, None]
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["none"]),
        helper.make_node("Reshape", ["none", "shape"], ["column"]),
        helper.make_node("Add", ["column", "answer"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 256, 256])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 11, 4])],
        [
            onnx.numpy_helper.from_array(np.float32(0), "zero"),
            onnx.numpy_helper.from_array(np.array([-1, 1, 1]), "shape"),
            onnx.numpy_helper.from_array(answer, "answer"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (constant(3.0), "scores reach from 3 to 3"),
        (constant(-1.0), "scores reach from -1"),
        (constant(float("nan")), "not finite"),
        (constant(0.5, (10, 10, 5000, 50)), "boxes reach from"),
        (
            constant(0.5, (0.1, 0.1, 0.05, 0.05)),
            None,
        ),  # within rounding: such boxes are dropped, not a reason to refuse
    ],
)
def test_an_answer_that_cannot_be_a_detectors_is_refused_when_it_is_loaded(
    tmp_path: Path, model: bytes, word: str | None
):
    made = bundle.write_bundle(tmp_path / "b", facts(), {"model.onnx": model})
    if word is None:
        Detector(made, precision="f32")
    else:
        with pytest.raises(BundleRejected, match=word):
            Detector(made, precision="f32")


def test_a_file_changed_after_the_bundle_was_opened_is_not_loaded(tmp_path: Path):
    made = tiny_bundle(tmp_path / "b")
    path = made.path / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleRejected, match="damaged or changed"):
        Detector(made)
