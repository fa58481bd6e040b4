"""How often people found the answers right. A count of claims: the accuracy that is measured comes from reviews of a random share.

Counted are the answers of a period and the words on them that count: neither replaced nor withdrawn, and not those that a
reviewer overruled, for they were found false.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from leafloop.learning.intervals import share_interval
from leafloop.storage import tallies
from leafloop.storage.tables import now

STATUSES = ("pending", "accepted", "overruled", "replaced", "withdrawn")
_COUNTED = ("pending", "accepted")


def stats(session: Session, *, days: int, model_version: str | None = None) -> dict[str, Any]:
    """The body of `GET /feedback/stats`: the older system's keys, `accuracy_interval` and `by_status`."""
    period = tallies.Period(now() - timedelta(days=days), model_version)
    given = {(name, outcome): count for name, outcome, count in tallies.answers(session, period)}
    said = list(tallies.words(session, period))
    whole = _counts(sum(given.values()), said)
    by_status = Counter(dict.fromkeys(STATUSES, 0))
    for words in said:
        by_status[words.status] += words.count
    interval = share_interval(whole["correct"], whole["correct"] + whole["incorrect"])
    return {
        "period_days": days,
        "total_predictions": whole["total_predictions"],
        "total_feedback": whole["total_feedback"],
        "correct_predictions": whole["correct"],
        "incorrect_predictions": whole["incorrect"],
        "overall_accuracy": whole["accuracy"],
        "accuracy_interval": None if interval is None else list(interval),
        "feedback_rate": whole["total_feedback"] / whole["total_predictions"] if whole["total_predictions"] else 0.0,
        "class_statistics": {
            name or outcome: _counts(count, (w for w in said if (w.class_name, w.outcome) == (name, outcome)))
            for (name, outcome), count in sorted(given.items(), key=str)
        },
        "by_status": dict(by_status),
    }


def _counts(answers: int, said: Iterable[tallies.Words]) -> dict[str, Any]:
    """Of an answer that named no class the key is its outcome. The accuracy of nothing is unknown: None."""
    judged: Counter[bool] = Counter()
    for words in said:
        if words.status in _COUNTED and words.is_correct is not None:
            judged[words.is_correct] += words.count
    feedback = judged.total()
    return {
        "total_predictions": answers,
        "total_feedback": feedback,
        "correct": judged[True],
        "incorrect": judged[False],
        "accuracy": judged[True] / feedback if feedback else None,
    }
