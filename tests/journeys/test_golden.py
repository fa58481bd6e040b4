"""The bundled model on rendered photos that it never saw: what it said when it was sealed, it says here too.

`tests/golden/answers.json` was written by `python -m tests.journeys.test_golden`, in f32. A changed answer is a changed model, decoder,
tiler or merge: look at the difference, then write the file again.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from leafloop.simulation import leaves
from leafloop.vision.bundle import open_bundle
from leafloop.vision.photo import read_upload
from leafloop.vision.reader import Reader

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "tests/golden/answers.json"
# Outside the seeds of training, validation and test; sizes with one row of tiles, with several, and taller than wide.
CASES = [(9_000_000 + i, *size) for i, size in enumerate([(640, 480), (1024, 768), (700, 1200), (256, 256)] * 3)]
SCORE, PIXELS = 0.05, 3.0  # what another CPU's f32 and another build of the decoders may change


@cache
def _reader() -> Reader:
    return Reader(open_bundle(ROOT / "src/leafloop/bundled"), precision="f32")


def _answer(seed: int, width: int, height: int) -> dict[str, Any]:
    rendered = leaves.render(seed, width=width, height=height, stages=6)
    reading = _reader().read(read_upload(leaves.encode(rendered, seed, quality=(88, 88))).pixels)
    sure = [d for d in reading.detections if d.confidence >= 0.4]
    return {
        "truth": {"stage": rendered.stage, "lesions": len(rendered.class_id)},
        "outcome": reading.verdict.outcome,
        "class_id": reading.verdict.class_id,
        "detections": [
            {
                "class_id": d.class_id,
                "confidence": round(d.confidence, 3),
                "xyxy_px": [round(float(v), 1) for v in d.xyxy_px],
            }
            for d in sure
        ],
    }


def _name(case: tuple[int, int, int]) -> str:
    return "-".join(map(str, case))


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_a_golden_photo_gets_the_answer_that_it_got(case: tuple[int, int, int]) -> None:
    golden = json.loads(FILE.read_text("utf-8"))[_name(case)]
    answer = _answer(*case)
    assert (answer["outcome"], answer["class_id"]) == (golden["outcome"], golden["class_id"])
    assert answer["truth"] == golden["truth"]
    for wanted in golden["detections"]:
        if wanted["confidence"] > 0.4 + SCORE:
            assert any(_same(found, wanted) for found in answer["detections"]), wanted


def _same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    near = all(abs(a - b) <= PIXELS for a, b in zip(found["xyxy_px"], wanted["xyxy_px"], strict=True))
    return near and found["class_id"] == wanted["class_id"] and abs(found["confidence"] - wanted["confidence"]) <= SCORE


def test_most_golden_answers_are_right() -> None:
    golden = json.loads(FILE.read_text("utf-8"))
    right = [
        case
        for case in golden.values()
        if (case["class_id"] or 0) == case["truth"]["stage"] and case["outcome"] != "no_leaf"
    ]
    assert len(right) >= 0.75 * len(golden)


if __name__ == "__main__":
    FILE.write_text(json.dumps({_name(case): _answer(*case) for case in CASES}, indent=1) + "\n", "utf-8")
