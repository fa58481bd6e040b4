"""Holds a model against folders of real photos of which only the group is known: can it tell them apart better than a count?

Real photos judge and never teach: no threshold, score or model is chosen here. The score of a photo is its largest lesion
confidence, as it comes out of the serving path.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from leafloop.errors import NotFound
from leafloop.learning.bundled import separation
from leafloop.vision.detector import FLOOR
from leafloop.vision.photo import read_upload
from leafloop.vision.reader import Reader

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".heic"}


def judge(reader: Reader, ill: Path, healthy: Path, *, say: Callable[[str, int, int], None]) -> dict[str, Any]:
    """AUROC of the model and of counting brown pixels on the same photos, their paired difference, and the verdicts by folder.

    Raises `NotFound` for a folder without photos and `PhotoError` for one that is not a photo.
    """
    groups = {folder.name: _read_folder(reader, folder, say) for folder in (ill, healthy)}
    scores = [np.array([[p["model"] for p in g], [p["brown"] for p in g]]) for g in groups.values()]
    (model, brown), (above,) = separation.compare(scores[0], scores[1])
    return {
        "bundle": reader.bundle.hash,
        "photos": {name: len(group) for name, group in groups.items()},
        "auroc_model": str(model),
        "auroc_brown_pixels": str(brown),
        "model_minus_brown_pixels": str(above),
        "verdicts": {name: _counted(group) for name, group in groups.items()},
    }


def _read_folder(reader: Reader, folder: Path, say: Callable[[str, int, int], None]) -> list[dict[str, Any]]:
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise NotFound(f"There is no photo in {folder}.")
    read = []
    for number, path in enumerate(paths, start=1):
        pixels = read_upload(path.read_bytes()).pixels
        reading = reader.read(pixels, floor=FLOOR)
        lesions = [d.confidence for d in reading.detections if d.class_id not in reader.bundle.taxonomy.healthy_ids]
        answer = reading.verdict.class_name or reading.verdict.outcome
        read.append({"model": max(lesions, default=0.0), "brown": separation.brown_share(pixels), "answer": answer})
        say(f"read {folder.name}", number, len(paths))
    return read


def _counted(group: list[dict[str, Any]]) -> dict[str, int]:
    answers = [str(photo["answer"]) for photo in group]
    return {answer: answers.count(answer) for answer in sorted(set(answers))}
