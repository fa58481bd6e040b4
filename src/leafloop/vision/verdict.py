"""From lesions to one answer for a photo, by a rule that a person can follow; knows the class set, not the model.

**The most advanced lesion that is well enough evidenced sets the stage.** Not the area and not the count: the practice of the
field scores a leaf by its most advanced symptom, because the oldest lesions are the ones that soon spread spores, however few
they are (E. Fouré and J. Ganry, "A biological forecasting system to control Black Leaf Streak disease of bananas and
plantains", Fruits 63, 2008, pp. 379-387). What "well enough evidenced" means is ours, so that one weak false alarm cannot set
the stage: one lesion of at least `reliable`, or two of at least `detect`, of that severity or worse.

In this order (docs/MODEL_SPEC.md has it as a table):
1. A photo that shows too little (dark, blurred, noise) is *uncertain*, whatever the model says of it.
2. Next to no leaf in the frame, and nothing found reliably: *no_leaf*.
3. A well evidenced lesion: *diseased*, with the class of the most advanced one.
4. Areas seen to be healthy and no lesion, or no lesion score above what the model may vouch for, on a photo with the pixels
   that small lesions need: *healthy*. Else *uncertain*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from leafloop.taxonomy import Taxonomy
from leafloop.vision.detection import Detection
from leafloop.vision.quality import MIN_LEAF

Outcome = Literal["diseased", "healthy", "uncertain", "no_leaf"]

SUPPORTERS = 2  # weak lesions that together count as evidence: two false alarms in one photo are rarer than one by far


class Scores(Protocol):
    """The bundle's thresholds, as far as they matter here."""

    @property
    def detect(self) -> float: ...
    @property
    def reliable(self) -> float: ...
    @property
    def vouch_healthy_below(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. class_id and class_name are None for `uncertain` and `no_leaf`; advice is None unless reliable.

    confidence (0-1): of a stage, the best score of a lesion of that class; of health, that of a healthy area, or how far the
    strongest hint of a lesion is from 1; of the others, the best score that was not enough (0 when there was none).
    """

    outcome: Outcome
    class_id: int | None
    class_name: str | None
    confidence: float
    reliable: bool
    advice: str | None


def judge(
    detections: Sequence[Detection],
    taxonomy: Taxonomy,
    scores: Scores,
    *,
    leaf_fraction: float,
    usable: bool = True,
    shows_small_spots: bool = True,
    language: str = "en",
) -> Verdict:
    """Judge one photo. `detections`: merged, down to the detector's floor (hints below `detect` speak against health).

    `leaf_fraction`: share of the frame that is leaf. `usable`: whether the photo's quality allows a verdict at all.
    `shows_small_spots`: whether it has the pixels that small lesions need; without them, finding none says nothing of health.
    """
    healthy = [d for d in detections if d.class_id in taxonomy.healthy_ids]
    lesions = [d for d in detections if d.class_id not in taxonomy.healthy_ids]
    best = _best(detections)
    if not usable:
        return _open("uncertain", best)
    if leaf_fraction < MIN_LEAF and best < scores.reliable:
        return _open("no_leaf", best)
    if stage := _most_advanced([d for d in lesions if d.confidence >= scores.detect], taxonomy, scores):
        return _named("diseased", stage.class_id, stage.confidence, taxonomy, scores, language)
    may_vouch = scores.vouch_healthy_below if shows_small_spots else None
    class_id, confidence = _healthy(healthy, _best(lesions), taxonomy, scores.detect, may_vouch)
    if class_id is None:
        return _open("uncertain", best)
    return _named("healthy", class_id, confidence, taxonomy, scores, language)


def _most_advanced(lesions: list[Detection], taxonomy: Taxonomy, scores: Scores) -> Detection | None:
    """The strongest lesion of the highest severity for which there is evidence."""

    def severity(lesion: Detection) -> int:
        return taxonomy.classes[lesion.class_id].severity

    for bar in sorted({severity(lesion) for lesion in lesions}, reverse=True):
        worse = [lesion for lesion in lesions if severity(lesion) >= bar]
        if len(worse) >= SUPPORTERS or _best(worse) >= scores.reliable:
            return max(
                (lesion for lesion in worse if severity(lesion) == bar), key=lambda d: (d.confidence, -d.class_id)
            )
    return None


def _healthy(
    areas: list[Detection], hint: float, taxonomy: Taxonomy, detect: float, vouch_below: float | None
) -> tuple[int | None, float]:
    """Whether the model vouches for health: (class, confidence), or (None, 0). `hint`: the strongest lesion score, however low."""
    if hint >= detect or not taxonomy.healthy_ids:
        return None, 0.0
    seen = max(areas, key=lambda d: (d.confidence, -d.class_id), default=None)
    if seen and seen.confidence >= detect:
        return seen.class_id, seen.confidence
    if vouch_below is not None and hint < vouch_below:
        return min(taxonomy.healthy_ids), 1 - hint
    return None, 0.0


def _best(detections: Sequence[Detection]) -> float:
    return max((d.confidence for d in detections), default=0.0)


def _open(outcome: Outcome, confidence: float) -> Verdict:
    return Verdict(outcome, None, None, confidence, reliable=False, advice=None)


def _named(
    outcome: Outcome, class_id: int, confidence: float, taxonomy: Taxonomy, scores: Scores, language: str
) -> Verdict:
    reliable = confidence >= scores.reliable
    advice = taxonomy.advice_for(class_id, language) if reliable else None
    return Verdict(outcome, class_id, taxonomy.class_names[class_id], confidence, reliable, advice)
