"""Label Studio's two exports: percents, people, addresses that are never fetched."""

from __future__ import annotations

import http.server
import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.learning.dataset_files import HEIGHT, WIDTH, codes, picture, read, write


def rectangle(
    x: float, y: float, w: float, h: float, label: str = "Stage1", rotation: float = 0, **more: Any
) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": w, "height": h, "rotation": rotation, "rectanglelabels": [label]}
    return {"type": "rectanglelabels", "original_width": WIDTH, "original_height": HEIGHT, "value": value, **more}


def choice(label: str, name: str = "choice") -> dict[str, Any]:
    return {"type": "choices", "from_name": name, "to_name": "image", "value": {"choices": [label]}}


def task(*results: dict[str, Any], image: str = "/data/upload/1/a.jpg", **answer: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": list(results), **answer}]}


def one(tmp_path: Path, *tasks: dict[str, Any]) -> Any:
    return read(write(tmp_path, {"tasks.json": json.dumps(tasks), "upload/1/a.jpg": picture()}))


def corners(dataset: Any) -> list[tuple[float, ...]]:
    return [tuple(round(each, 6) for each in (b.x1, b.y1, b.x2, b.y2)) for b in dataset.photos[0].boxes]


def test_percents_become_shares(tmp_path: Path):
    dataset = one(tmp_path, task(rectangle(10, 20, 30, 40)))
    assert corners(dataset) == [(0.1, 0.2, 0.4, 0.6)]
    assert (dataset.photos[0].name, codes(dataset)) == ("upload/1/a.jpg", [])


def test_a_box_drawn_from_the_other_corner_is_the_same_box(tmp_path: Path):
    assert corners(one(tmp_path, task(rectangle(40, 60, -30, -40)))) == [(0.1, 0.2, 0.4, 0.6)]


def test_a_turned_box_is_enclosed_in_the_photos_own_shape(tmp_path: Path):
    """40 x 16 pixels, turned by 90 degrees about its top left corner, are 16 x 40 pixels to the left of it."""
    dataset = one(tmp_path, task(rectangle(50, 50, 20, 10, rotation=90)))
    assert corners(dataset) == [(0.42, 0.5, 0.5, 0.75)]
    assert codes(dataset) == ["box_enclosed"]


def test_an_outline_and_an_ellipse_are_enclosed(tmp_path: Path):
    outline = {
        "type": "polygonlabels",
        "value": {"points": [[10, 10], [30, 10], [20, 40]], "polygonlabels": ["Stage1"]},
    }
    ellipse = {
        "type": "ellipselabels",
        "value": {"x": 50, "y": 50, "radiusX": 10, "radiusY": 5, "ellipselabels": ["Stage1"]},
    }
    dataset = one(tmp_path, task(outline, ellipse))
    assert corners(dataset) == [(0.1, 0.1, 0.3, 0.4), (0.4, 0.45, 0.6, 0.55)]
    assert codes(dataset) == ["box_enclosed", "box_enclosed"]


def test_a_choice_is_a_class_of_the_whole_photo_and_never_a_box(tmp_path: Path):
    (photo,) = one(tmp_path, task(choice("Stage3"))).photos
    assert (photo.boxes, photo.class_names) == (None, ("Stage3",))


def test_the_answers_to_several_questions_are_all_given(tmp_path: Path):
    (photo,) = one(tmp_path, task(choice("Good"), choice("Stage4"))).photos
    assert photo.class_names == ("Good", "Stage4")


def test_more_boxes_than_a_photo_can_have_are_said_and_none_is_taken(tmp_path: Path):
    dataset = one(tmp_path, task(*(rectangle(n % 90, n // 90, 1, 1) for n in range(1001))))
    assert codes(dataset) == ["box_malformed"]
    assert (dataset.photos[0].boxes, dataset.photos[0].lost) == ((), 1001)


def test_an_answer_with_nothing_in_it_is_a_confirmed_negative_and_a_skipped_one_is_not(tmp_path: Path):
    assert one(tmp_path, task()).photos[0].boxes == ()
    assert one(tmp_path, task(was_cancelled=True)).photos[0].says_nothing
    assert one(tmp_path, {"data": {"image": "a.jpg"}, "annotations": []}).photos[0].says_nothing


def test_what_a_model_predicted_is_no_label(tmp_path: Path):
    predicted = {
        "data": {"image": "a.jpg"},
        "annotations": [],
        "predictions": [{"result": [rectangle(1, 1, 9, 9)], "score": 0.9}],
    }
    assert one(tmp_path, predicted).photos[0].says_nothing


def test_the_newest_of_several_answers_counts_and_that_is_said(tmp_path: Path):
    old = {"result": [rectangle(1, 1, 9, 9)], "updated_at": "2026-01-02"}
    new = {"result": [rectangle(20, 20, 9, 9)], "updated_at": "2026-02-01"}
    dataset = one(tmp_path, {"data": {"image": "a.jpg"}, "annotations": [new, old]})
    assert corners(dataset) == [(0.2, 0.2, 0.29, 0.29)]
    assert codes(dataset) == ["several_answers"]


def test_the_short_form(tmp_path: Path):
    value = {**rectangle(10, 20, 30, 40)["value"], "original_width": WIDTH, "original_height": HEIGHT}
    boxed = {"image": "/data/upload/1/a.jpg", "id": 1, "label": [value], "annotator": 1, "annotation_id": 7}
    assert corners(one(tmp_path, boxed)) == [(0.1, 0.2, 0.4, 0.6)]
    assert one(tmp_path, {"image": "a.jpg", "choice": "Healthy"}).photos[0].class_names == ("Healthy",)
    assert one(tmp_path, {"image": "a.jpg", "annotation_id": 7}).photos[0].boxes == ()
    assert one(tmp_path, {"image": "a.jpg"}).photos[0].says_nothing


@pytest.mark.parametrize(
    "address",
    [
        "a.jpg",
        "1/a.jpg",
        "/data/upload/1/a.jpg",
        "/data/local-files/?d=upload%2F1%2Fa.jpg",
        "s3://bucket/x/1/a.jpg",
        "https://x.test/1/a.jpg?t=1",
    ],
)
def test_a_photo_is_found_among_the_files_by_the_end_of_its_address(tmp_path: Path, address: str):
    assert [photo.name for photo in one(tmp_path, task(rectangle(1, 1, 9, 9), image=address)).photos] == [
        "upload/1/a.jpg"
    ]


def test_no_address_is_ever_fetched(tmp_path: Path):
    asked: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        dataset = one(
            tmp_path, task(rectangle(1, 1, 9, 9), image=f"http://127.0.0.1:{server.server_port}/leaves/b.jpg")
        )
        server.shutdown()
    assert (codes(dataset), asked) == (["photo_missing", "photo_unnamed"], [])
    assert "never fetched" in dataset.problems[0].detail


@pytest.mark.parametrize(
    "address", ["../../etc/passwd", "/data/local-files/?d=../../etc/passwd", "file:///a/../../etc/passwd"]
)
def test_an_address_that_leads_out_is_refused(tmp_path: Path, address: str):
    assert codes(one(tmp_path, task(rectangle(1, 1, 9, 9), image=address))) == ["path_outside", "photo_unnamed"]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"x": math.nan}, "box_not_finite"),
        ({"width": math.inf}, "box_not_finite"),
        ({"x": "10"}, "box_malformed"),
        ({"rectanglelabels": []}, "box_malformed"),
        ({"rectanglelabels": ["Stage1", "Stage2"]}, "box_malformed"),
        ({"rle": [1, 2], "x": None}, "box_malformed"),
    ],
)
def test_a_bad_box_is_named_and_its_photo_is_not_empty(tmp_path: Path, value: dict[str, Any], code: str):
    bad = rectangle(1, 1, 9, 9, id="r1")
    bad["value"] |= value
    dataset = one(tmp_path, task(bad))
    assert [(p.code, p.place) for p in dataset.problems] == [(code, "tasks.json: [0] r1")]
    assert dataset.photos[0].lost == 1


def test_two_files_of_one_name_are_not_guessed_between(tmp_path: Path):
    files = {"tasks.json": json.dumps([task(image="a.jpg")]), "x/a.jpg": picture(), "y/a.jpg": picture(1)}
    assert codes(read(write(tmp_path, files))) == ["photo_missing", "photo_unnamed"]
