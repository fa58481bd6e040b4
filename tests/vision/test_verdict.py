"""The verdict's rule, a sentence a test; on the built-in class set and on one of another crop."""

from __future__ import annotations

import pytest

from leafloop.taxonomy import Taxonomy, load
from leafloop.vision.bundle import Thresholds
from leafloop.vision.detection import Detection
from leafloop.vision.verdict import judge

BANANA = load()
SCORES = Thresholds(detect=0.25, iou=0.5, reliable=0.5, vouch_healthy_below=0.1)
NO_VOUCH = Thresholds(detect=0.25, iou=0.5, reliable=0.5, vouch_healthy_below=None)


def d(name: str, confidence: float, taxonomy: Taxonomy = BANANA) -> Detection:
    return Detection(taxonomy.id_of(name), confidence, (0, 0, 10, 10))


def said(
    *detections: Detection, scores: Thresholds = SCORES, leaf: float = 0.5, usable: bool = True
) -> tuple[str, str | None]:
    verdict = judge(detections, BANANA, scores, leaf_fraction=leaf, usable=usable)
    return verdict.outcome, verdict.class_name


def test_the_most_advanced_lesion_sets_the_stage_not_the_count_or_the_score():
    many = [d("Stage2", 0.9)] * 20
    assert said(*many, d("Stage5", 0.55)) == ("diseased", "Stage5")


def test_one_weak_lesion_alone_does_not_set_a_stage():
    assert said(d("Stage6", 0.4)) == ("uncertain", None)
    assert said(*[d("Stage2", 0.9)] * 3, d("Stage6", 0.4)) == ("diseased", "Stage2")


def test_two_weak_lesions_of_a_severity_or_worse_are_evidence_for_it():
    assert said(d("Stage3", 0.3), d("Stage3", 0.3)) == ("diseased", "Stage3")
    assert said(d("Stage6", 0.3), d("Stage4", 0.3)) == ("diseased", "Stage4"), (
        "the doubtful Stage6 speaks for Stage4 too"
    )


def test_a_stage_on_weak_evidence_is_not_reliable_and_comes_without_advice():
    weak = judge([d("Stage3", 0.3), d("Stage3", 0.4)], BANANA, SCORES, leaf_fraction=0.5)
    assert (weak.confidence, weak.reliable, weak.advice) == (0.4, False, None)
    strong = judge([d("Stage3", 0.7)], BANANA, SCORES, leaf_fraction=0.5)
    assert strong.reliable
    assert strong.advice == BANANA.advice_for(BANANA.id_of("Stage3"))


def test_lesions_below_detect_are_no_lesions():
    assert said(d("Stage3", 0.2), d("Stage3", 0.2)) == ("uncertain", None)


def test_health_is_what_the_model_vouches_for():
    assert said() == ("healthy", "Healthy")
    assert said(d("Stage1", 0.09)) == ("healthy", "Healthy")
    assert said(d("Stage1", 0.11)) == ("uncertain", None), "a hint of a lesion above the bar"
    assert said(scores=NO_VOUCH) == ("uncertain", None), (
        "nothing found is not health unless the model was shown to know"
    )
    vouched = judge([d("Stage1", 0.05)], BANANA, SCORES, leaf_fraction=0.5)
    assert vouched.confidence == pytest.approx(0.95)
    assert vouched.reliable
    assert vouched.advice


def test_healthy_areas_are_health_only_where_there_is_no_lesion():
    assert said(d("Healthy", 0.8), scores=NO_VOUCH) == ("healthy", "Healthy")
    assert said(d("Healthy", 0.8), d("Stage1", 0.3), scores=NO_VOUCH) == ("uncertain", None)
    assert said(d("Healthy", 0.8), d("Stage1", 0.6)) == ("diseased", "Stage1")
    unsure = judge([d("Healthy", 0.3)], BANANA, NO_VOUCH, leaf_fraction=0.5)
    assert unsure.class_name == "Healthy"
    assert not unsure.reliable
    assert unsure.advice is None


def test_no_leaf_and_nothing_reliable_is_no_leaf():
    assert said(leaf=0.04) == ("no_leaf", None)
    assert said(d("Stage3", 0.3), d("Stage3", 0.3), leaf=0.04) == ("no_leaf", None)
    assert said(d("Stage3", 0.9), leaf=0.04) == ("diseased", "Stage3"), "the model sees what the colours do not say"


def test_a_photo_that_shows_too_little_never_gives_a_class():
    assert said(d("Stage6", 0.99), usable=False) == ("uncertain", None)
    assert said(usable=False) == ("uncertain", None)
    assert said(leaf=0.0, usable=False) == ("uncertain", None)


def test_no_class_without_a_name_and_no_advice_without_reliance():
    for detections in ([], [d("Stage2", 0.3)], [d("Stage2", 0.9)], [d("Healthy", 0.3)]):
        for leaf in (0.0, 0.5):
            for usable in (True, False):
                verdict = judge(detections, BANANA, SCORES, leaf_fraction=leaf, usable=usable)
                assert (
                    (verdict.class_id is None)
                    == (verdict.class_name is None)
                    == (verdict.outcome in ("uncertain", "no_leaf"))
                )
                assert verdict.reliable or verdict.advice is None
                assert 0 <= verdict.confidence <= 1


def test_another_crop_is_judged_by_its_own_severities():
    """Class ids need not rise with severity, and a class set may have no healthy class."""
    classes = [{"name": n, "colour": "#000000", "severity": s} for n, s in (("rot", 9), ("spot", 3), ("mould", 9))]
    facts = {
        "name": "wheat",
        "version": "1",
        "crop": "wheat",
        "disease": "some",
        "advice": {"author": "a", "version": "1"},
    }
    wheat = Taxonomy.from_dict({**facts, "classes": classes})
    verdict = judge(
        [d("spot", 0.9, wheat), d("rot", 0.6, wheat), d("mould", 0.7, wheat)], wheat, SCORES, leaf_fraction=0.5
    )
    assert (verdict.class_name, verdict.advice) == ("mould", None)
    assert judge([], wheat, SCORES, leaf_fraction=0.5).outcome == "uncertain", "no class can say that it is healthy"


def test_the_words_come_in_the_language_asked_for_or_in_english():
    verdict = judge([d("Stage3", 0.9)], BANANA, SCORES, leaf_fraction=0.5, language="xx")
    assert verdict.advice == BANANA.advice_for(BANANA.id_of("Stage3"), "en")


def test_finding_nothing_on_a_picture_without_the_pixels_for_small_spots_says_nothing_of_health():
    assert judge([], BANANA, SCORES, leaf_fraction=0.5).outcome == "healthy"
    too_small = judge([], BANANA, SCORES, leaf_fraction=0.5, shows_small_spots=False)
    assert (too_small.outcome, too_small.class_name, too_small.advice) == ("uncertain", None, None)
    found = judge([d("Stage3", 0.9)], BANANA, SCORES, leaf_fraction=0.5, shows_small_spots=False)
    assert found.outcome == "diseased", "what is seen on it counts all the same"
