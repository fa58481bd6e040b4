"""How far reviewers agree, and how often the model is right on the photos that chance chose. Changes nothing."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.orm import Session

from leafloop.learning.intervals import share_interval
from leafloop.learning.review import matching
from leafloop.storage.reviews import OPINIONS, Reviewer, reviewer_of
from leafloop.storage.tables import Prediction, Review, ReviewItem

MOST = 5000  # opinions looked at, the newest: more than a year's work of a reviewer, and read in a second
Pair = tuple[str, str]


def agreement(session: Session, *, most: int = MOST) -> dict[str, Any]:
    """How far first and blind second opinions agree, and each reviewer with what holds in the end.

    `kappa` is Cohen's (1960): 1 is agreement, 0 what chance alone gives; None while it says nothing (no pair, or one answer only).
    `box_f1` is over pairs where both drew boxes.
    """
    given = _by_item(session, most)
    pairs = [pair for opinions in given.values() for pair in _blind_pairs(opinions)]
    said = [(_category(first), _category(second)) for first, second in pairs]
    return {
        "pairs": len(pairs),
        "agreed": sum(first == second for first, second in said),
        "kappa": kappa(said),
        "box_f1": _mean(_box_f1(first, second) for first, second in pairs),
        "reviewers": _reviewers(given.values()),
    }


def kappa(pairs: Sequence[Pair]) -> float | None:
    """Cohen's kappa of two raters who put the same things into categories (Cohen 1960, eq. 1): (p_o - p_c) / (1 - p_c).

    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20, 1960, pp. 37-46.
    """
    if not pairs:
        return None
    number = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    by_chance = sum(first[category] * second[category] for category in first) / number**2
    if by_chance == 1:
        return None
    observed = sum(a == b for a, b in pairs) / number
    return (observed - by_chance) / (1 - by_chance)


def measured_accuracy(session: Session) -> dict[str, Any]:
    """How often the model's answer held on the random share: a number that what else is reviewed cannot colour.

    Counted are the answers up to the oldest that nobody has looked at: of the younger ones those are reviewed first that there are
    other reasons for, which are harder. Who skips a photo has looked at it, so nobody holds the measure up by that; those that were
    only skipped are told as `skipped`, since they may be the harder ones. One that is open again, as somebody disputes what was
    decided, counts by what holds until then. What the reviewers themselves call uncertain, or of no use, is not counted.
    `abstained`: answers that were `uncertain`, where the reviewer could tell; they are no mistakes, and no hits.
    """
    looked_at = exists().where(Review.item_id == ReviewItem.id, Review.undone_at.is_(None))
    is_open = (ReviewItem.is_random, ReviewItem.state == "open")
    until = session.scalar(select(func.min(ReviewItem.created_at)).where(*is_open, ~looked_at))
    wanted = [ReviewItem.is_random, or_(ReviewItem.state == "done", and_(ReviewItem.state == "open", looked_at))]
    if until is not None:
        wanted.append(ReviewItem.created_at < until)
    newest = select(ReviewItem.id).where(*wanted).order_by(ReviewItem.created_at.desc()).limit(MOST)
    seen = list(session.scalars(newest))
    given = _reviews(session, seen)
    answers = _answers(session, [opinions[-1].prediction_id for opinions in given.values()])
    compared = [
        (answers[holds.prediction_id], _category(holds))
        for opinions in given.values()
        if (holds := opinions[-1]).outcome not in (None, "uncertain")
    ]
    abstained = sum(answer == "uncertain" for answer, _ in compared)
    correct, judged = sum(a == b for a, b in compared), len(compared) - abstained
    return {
        "reviewed": len(compared),
        "abstained": abstained,
        "skipped": len(seen) - len(given),
        "correct": correct,
        "accuracy": correct / judged if judged else None,
        "interval": share_interval(correct, judged),
    }


def _by_item(session: Session, most: int) -> dict[str, list[Review]]:
    """The standing opinions on items of which two or more are among the newest."""
    stand = (Review.decision.in_(OPINIONS), Review.undone_at.is_(None))
    newest = select(Review.item_id).where(*stand).order_by(Review.created_at.desc()).limit(most).subquery()
    several = select(newest.c.item_id).group_by(newest.c.item_id).having(func.count() > 1)
    return _reviews(session, list(session.scalars(several)))


def _reviews(session: Session, item_ids: Sequence[str]) -> dict[str, list[Review]]:
    """The standing opinions on items, oldest first."""
    found: dict[str, list[Review]] = {}
    for some in _in_pieces(item_ids):
        stand = (Review.item_id.in_(some), Review.decision.in_(OPINIONS), Review.undone_at.is_(None))
        for review in session.scalars(select(Review).where(*stand).order_by(Review.created_at, Review.id)):
            found.setdefault(review.item_id, []).append(review)
    return found


def _answers(session: Session, prediction_ids: Sequence[str]) -> dict[str, str]:
    """What the model said, as a category, by the answer's id."""
    found: dict[str, str] = {}
    for some in _in_pieces(prediction_ids):
        columns = (Prediction.id, Prediction.outcome, Prediction.predicted_class_name)
        for prediction_id, outcome, name in session.execute(select(*columns).where(Prediction.id.in_(some))):
            found[prediction_id] = name or outcome
    return found


def _in_pieces(ids: Sequence[str], size: int = 500) -> Iterable[Sequence[str]]:
    """As many as a statement takes parameters everywhere (SQLite: 999 in old versions)."""
    return (ids[i : i + size] for i in range(0, len(ids), size))


def _category(review: Review) -> str:
    """A class, or an outcome without one, or that the photo is of no use."""
    return review.class_name or review.outcome or review.decision


def _blind_pairs(opinions: Sequence[Review]) -> list[tuple[Review, Review]]:
    return [(first, second) for first, second in itertools.pairwise(opinions) if second.blind]


def _box_f1(first: Review, second: Review) -> float | None:
    """None where one of them drew none."""
    if first.boxes is None or second.boxes is None:
        return None
    return matching.f1(first.boxes, second.boxes)


def _reviewers(items: Iterable[Sequence[Review]]) -> list[dict[str, Any]]:
    """Each reviewer's opinions beside what holds in the end; who decided alone cannot be compared with anybody."""
    by_reviewer: dict[Reviewer, list[tuple[bool, float | None]]] = {}
    for opinions in items:
        holds = opinions[-1]
        for given in opinions[:-1]:
            compared = (_category(given) == _category(holds), _box_f1(given, holds))
            by_reviewer.setdefault(reviewer_of(given), []).append(compared)
    return [
        {
            "reviewer": reviewer.name or reviewer.key_id,
            "compared": len(compared),
            "agreed": sum(agrees for agrees, _ in compared),
            "interval": share_interval(sum(agrees for agrees, _ in compared), len(compared)),
            "box_f1": _mean(f1 for _, f1 in compared),
        }
        for reviewer, compared in sorted(by_reviewer.items(), key=lambda entry: entry[0].identity)
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
