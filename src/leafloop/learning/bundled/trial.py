"""Asks a reader about rendered photos, the way the service would, and holds the answers against what was painted.

The photo goes through JPEG and `vision.photo` first, so what is measured is the serving path and nothing kinder. Knows no files.
"""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from leafloop.learning.bundled import thresholds
from leafloop.learning.bundled.rendered import Shot
from leafloop.taxonomy import Taxonomy
from leafloop.vision import photo, verdict
from leafloop.vision.detection import Detection
from leafloop.vision.quality import USELESS
from leafloop.vision.reader import Reader

FLOOR = 0.05  # lower scores change neither a threshold nor mAP to two digits, and there are thousands of them
MOST_BOXES = 300  # a photo, best first, for mAP: twice as many as are ever painted


@dataclass(frozen=True)
class Answer:
    """What was painted and what was read. class_id, xyxy_px: the true boxes. stage: the true answer, None for no leaf."""

    class_id: npt.NDArray[np.int64]
    xyxy_px: npt.NDArray[np.float32]
    stage: int | None
    detections: list[Detection]
    leaf_fraction: float
    usable: bool
    milliseconds: float

    def lesion_score(self, taxonomy: Taxonomy) -> float:
        return max((d.confidence for d in self.detections if d.class_id not in taxonomy.healthy_ids), default=0.0)


def ask(reader: Reader, shots: Iterable[Shot]) -> list[Answer]:
    return [_answer(reader, shot) for shot in shots]


def _answer(reader: Reader, shot: Shot) -> Answer:
    reading = reader.read(photo.read_upload(shot.jpeg).pixels, floor=FLOOR)
    return Answer(
        class_id=shot.class_id,
        xyxy_px=shot.xyxy_px,
        stage=shot.stage,
        detections=reading.detections,
        leaf_fraction=reading.quality.leaf_fraction,
        usable=not USELESS & {warning.code for warning in reading.quality.warnings},
        milliseconds=sum(reading.timings_ms.values()),
    )


def judged(answer: Answer, taxonomy: Taxonomy, scores: verdict.Scores) -> verdict.Verdict:
    return verdict.judge(answer.detections, taxonomy, scores, leaf_fraction=answer.leaf_fraction, usable=answer.usable)


def is_right(answer: Answer, taxonomy: Taxonomy, scores: verdict.Scores) -> bool:
    """The exact stage, `healthy` for a leaf without a lesion, and no class at all for a photo without leaf."""
    return judged(answer, taxonomy, scores).class_id == answer.stage


@dataclass(frozen=True)
class Chosen:
    """Thresholds, fit for `verdict.judge`."""

    detect: float
    iou: float
    reliable: float
    vouch_healthy_below: float | None


def choose(answers: Sequence[Answer], taxonomy: Taxonomy, *, iou: float) -> Chosen:
    """By the rules of `thresholds.py`, from validation photos only."""
    matches = thresholds.match(
        [a.detections for a in answers], [(a.class_id, a.xyxy_px) for a in answers], len(taxonomy.classes)
    )
    on_leaf = [a for a in answers if a.stage is not None]
    ill = np.array([a.lesion_score(taxonomy) for a in on_leaf if a.stage not in taxonomy.healthy_ids])
    healthy = np.array([a.lesion_score(taxonomy) for a in on_leaf if a.stage in taxonomy.healthy_ids])

    def right(scores: Chosen) -> int:
        return sum(is_right(a, taxonomy, scores) for a in answers)

    def with_detect(detect: float) -> Chosen:
        draft = Chosen(detect, iou, detect, thresholds.vouch_healthy_below(ill, healthy, detect))
        return replace(draft, reliable=thresholds.reliable(lambda score: right(replace(draft, reliable=score)), detect))

    return max(map(with_detect, thresholds.good_for_boxes(matches)), key=lambda chosen: (right(chosen), -chosen.detect))


def figures(answers: Sequence[Answer], taxonomy: Taxonomy, scores: verdict.Scores) -> dict[str, Any]:
    """What a bundle's manifest keeps and a model card quotes."""
    verdicts = [judged(a, taxonomy, scores) for a in answers]
    right = np.array([v.class_id == a.stage for a, v in zip(answers, verdicts, strict=True)])
    reliable = np.array([v.reliable for v in verdicts])
    named = np.array([a.stage is not None for a in answers])
    names = (*taxonomy.class_names, "no leaf")
    confusion = Counter(
        f"{names[-1 if a.stage is None else a.stage]} -> {v.class_name or v.outcome}"
        for a, v in zip(answers, verdicts, strict=True)
    )
    matches = thresholds.match(
        [a.detections for a in answers], [(a.class_id, a.xyxy_px) for a in answers], len(taxonomy.classes)
    )
    return {
        "photos": len(answers),
        "boxes": int(matches.truths.sum()),
        **average_precision(answers, taxonomy),
        "mean_f1_at_detect": round(thresholds.mean_f1(matches, scores.detect), 4),
        "photo_accuracy": _share(right),
        "photo_accuracy_interval": _wilson(int(right.sum()), len(right)),
        "photo_accuracy_on_leaf": _share(right[named]),
        "reliable_share": _share(reliable),
        "right_when_reliable": _share(right[reliable]),
        "confusion": dict(sorted(confusion.items())),
        "milliseconds_median": float(np.median([a.milliseconds for a in answers])),
    }


def average_precision(answers: Sequence[Answer], taxonomy: Taxonomy) -> dict[str, Any]:
    """mAP as COCO defines it, by faster-coco-eval, on whole photos after merging. Raises ImportError without that package."""
    from faster_coco_eval import COCO, COCOeval_faster

    truth, found = _coco(answers, taxonomy)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(truth)
        evaluation = COCOeval_faster(coco, coco.loadRes(found), "bbox")
        evaluation.params.maxDets = [1, 10, MOST_BOXES]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # [iou, recall, class]; -1 where a class has no box
    by_class = {
        taxonomy.class_names[class_id]: round(float(precision[0, :, k].mean()), 4)
        for k, class_id in enumerate(evaluation.params.catIds)
        if (precision[0, :, k] >= 0).all()
    }
    return {
        "map50": round(float(np.mean(list(by_class.values()))), 4),
        "map50_95": round(float(precision[precision >= 0].mean()), 4),
        "ap50_by_class": by_class,
    }


def _coco(answers: Sequence[Answer], taxonomy: Taxonomy) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    boxes = [
        (number, class_id, box)
        for number, a in enumerate(answers)
        for class_id, box in zip(a.class_id.tolist(), a.xyxy_px.tolist(), strict=True)
    ]
    truth = {
        "images": [{"id": number} for number in range(len(answers))],
        "categories": [{"id": k, "name": name} for k, name in enumerate(taxonomy.class_names)],
        "annotations": [
            {
                "id": k,
                "image_id": n,
                "category_id": c,
                "bbox": _xywh(b),
                "area": (b[2] - b[0]) * (b[3] - b[1]),
                "iscrowd": 0,
            }
            for k, (n, c, b) in enumerate(boxes, start=1)
        ],
    }
    found = [
        {"image_id": number, "category_id": d.class_id, "bbox": _xywh(d.xyxy_px), "score": d.confidence}
        for number, a in enumerate(answers)
        for d in a.detections
    ]
    return truth, found


def _xywh(box: Sequence[float]) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def _share(values: npt.NDArray[np.bool_]) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def _wilson(right: int, n: int) -> list[float]:
    """95 % interval of a share (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    z, share = 1.96, right / n
    middle, spread = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return [round(float((middle + sign * spread) / (1 + z * z / n)), 4) for sign in (-1, 1)]
