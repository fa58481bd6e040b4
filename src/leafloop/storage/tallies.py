"""Answers and words counted by the database, not fetched. What the counts mean is not known here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from leafloop.storage.tables import Feedback, Prediction


@dataclass(frozen=True, slots=True)
class Period:
    """Answers given since a moment, of one model version if one is named; and the words on them."""

    since: datetime
    model_version: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        wanted = [Prediction.timestamp >= self.since]
        return wanted if self.model_version is None else [*wanted, Prediction.model_version == self.model_version]


@dataclass(frozen=True, slots=True)
class Words:
    """How many words of a kind there are on answers that named a class (None: none) and an outcome."""

    class_name: str | None
    outcome: str
    status: str
    is_correct: bool | None
    count: int


def answers(session: Session, period: Period) -> Iterator[tuple[str | None, str, int]]:
    """(class, outcome, how many answers)."""
    named = (Prediction.predicted_class_name, Prediction.outcome)
    for row in session.execute(select(*named, func.count()).where(*period.conditions()).group_by(*named)):
        yield row[0], row[1], row[2]


def words(session: Session, period: Period) -> Iterator[Words]:
    """Every kind of word that occurs, also those that do not count any more."""
    kinds = (Prediction.predicted_class_name, Prediction.outcome, Feedback.status, Feedback.is_correct)
    joined = select(*kinds, func.count()).join(Prediction, Prediction.id == Feedback.prediction_id)
    for row in session.execute(joined.where(*period.conditions()).group_by(*kinds)):
        yield Words(*row)
