"""Which answers a reviewer should see before anybody says a word of them: the unsure, the rare, and a random share.

    uncertain    the outcome says so, or the confidence is close to the bar
    rare_class   diseased, of a class that few labels are there of
    random       chance, whatever the answer is

A photo without a leaf comes by chance alone: there is nothing to learn from the model's being unsure of a floor.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.orm import Session

from leafloop.learning.review.worth import Reason, chance, enqueue
from leafloop.storage import labels
from leafloop.storage.tables import Prediction

CLOSE = 0.1  # from the bar for "reliable": there one answer in a few is wrong, and a label moves the model most
# Labels of a class, from which it is no longer rare: with 50 a share of one half is known to 14 points (Wilson, 95 %), about the
# least that says whether a class is found at all.
ENOUGH_LABELS = 50


def queue(session: Session, prediction: Prediction, *, reliable: float, random_share: float) -> None:
    """Give a new answer its place in the review queue, if it deserves one: one small read and one insert at most.

    `reliable`: the model's own bar (its bundle's threshold).
    """
    if reasons := list(_reasons(session, prediction, reliable, random_share)):
        enqueue(session, prediction.id, reasons)


def _reasons(session: Session, prediction: Prediction, reliable: float, random_share: float) -> Iterator[Reason]:
    if chance("random", prediction.id) < random_share:
        yield Reason("random")
    if prediction.outcome == "no_leaf":
        return
    confidence = prediction.confidence
    if prediction.outcome == "uncertain" or (confidence is not None and abs(confidence - reliable) <= CLOSE):
        yield Reason("uncertain", None if confidence is None else f"{confidence:.2f}")
    name = prediction.predicted_class_name
    if prediction.outcome == "diseased" and name is not None and labels.fewer_than(session, name, ENOUGH_LABELS):
        yield Reason("rare_class", name)
