"""Answers on rendered photos held against what was painted: known cases with known figures, and the serving path itself."""

from __future__ import annotations

import numpy as np
import pytest

from leafloop import taxonomy as taxonomies
from leafloop.learning.bundled import trial
from leafloop.learning.bundled.trial import Answer, Chosen
from leafloop.vision.detection import Detection

CLASSES = taxonomies.load()
SCORES = Chosen(detect=0.3, iou=0.5, reliable=0.5, vouch_healthy_below=0.1)
BOX, FAR = (10.0, 10.0, 40.0, 30.0), (200.0, 200.0, 240.0, 220.0)


def answer(stage: int | None, *found: Detection, boxes: tuple[tuple[float, ...], ...] = (BOX,)) -> Answer:
    painted = boxes if stage else ()
    return Answer(
        class_id=np.full(len(painted), stage or 0, np.int64),
        xyxy_px=np.array(painted, np.float32).reshape(-1, 4),
        stage=stage,
        detections=list(found),
        leaf_fraction=0.0 if stage is None else 0.6,
        usable=True,
        milliseconds=5.0,
    )


@pytest.mark.parametrize(
    ("given", "right"),
    [
        (answer(3, Detection(3, 0.9, BOX)), True),
        (answer(3, Detection(4, 0.9, BOX)), False),
        (answer(3), False),
        (answer(0), True),
        (answer(0, Detection(2, 0.9, BOX)), False),
        (answer(0, Detection(2, 0.2, BOX)), False),  # not sure enough to vouch for health
        (answer(None), True),
    ],
)
def test_only_the_exact_answer_is_right(given: Answer, right: bool):
    assert trial.is_right(given, CLASSES, SCORES) is right


def test_a_perfect_model_has_a_map_of_one():
    answers = [answer(stage, Detection(stage, 0.9, BOX)) for stage in range(1, 7)]
    figures = trial.average_precision(answers, CLASSES)
    assert figures["map50"] == figures["map50_95"] == 1.0
    assert set(figures["ap50_by_class"]) == set(CLASSES.class_names) - {CLASSES.class_names[0]}


def test_a_strong_false_alarm_on_a_clean_photo_halves_the_precision():
    answers = [answer(1, Detection(1, 0.6, BOX)), answer(0, Detection(1, 0.9, FAR))]
    assert trial.average_precision(answers, CLASSES)["map50"] == pytest.approx(0.5, abs=0.01)


def test_more_lesions_than_coco_counts_by_default_are_all_counted():
    many = tuple((x * 20.0, y * 20.0, x * 20.0 + 10, y * 20.0 + 10) for x in range(15) for y in range(10))
    given = answer(2, *(Detection(2, 0.9, box) for box in many), boxes=many)
    assert trial.average_precision([given], CLASSES)["map50"] == 1.0


def test_figures_name_every_kind_of_mistake():
    answers = [answer(3, Detection(3, 0.9, BOX)), answer(3, Detection(4, 0.9, BOX)), answer(0), answer(None)]
    figures = trial.figures(answers, CLASSES, SCORES)
    assert figures["photos"] == 4
    assert figures["photo_accuracy"] == 0.75
    assert figures["photo_accuracy_on_leaf"] == pytest.approx(2 / 3, abs=1e-4)
    low, high = figures["photo_accuracy_interval"]
    assert low < 0.75 < high
    names = CLASSES.class_names
    assert figures["confusion"][f"{names[3]} -> {names[4]}"] == 1
    assert figures["confusion"]["no leaf -> no_leaf"] == 1


def test_thresholds_are_chosen_so_that_the_answers_come_right():
    ill = [answer(3, Detection(3, 0.55, BOX), Detection(6, 0.35, FAR)) for _ in range(30)]
    ill += [answer(6, Detection(6, 0.9, FAR), boxes=(FAR,)) for _ in range(30)]
    healthy = [answer(0, Detection(1, 0.15, BOX)) for _ in range(30)]
    chosen = trial.choose(ill + healthy, CLASSES, iou=0.5)
    assert all(trial.is_right(a, CLASSES, chosen) for a in ill + healthy)
    assert chosen.detect > 0.35  # above the false alarms of another class
    assert chosen.vouch_healthy_below is not None
    assert 0.15 < chosen.vouch_healthy_below <= chosen.detect <= chosen.reliable <= 0.55
