"""What is claimed of a photo, by an answer, a person's word or a review, and whether two claims can both be true. Keeps nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from leafloop.storage.tables import Feedback, Prediction, Review


@dataclass(frozen=True, slots=True)
class Claim:
    """None: not said. `denies`: it says only that the answer is not right."""

    outcome: str | None
    class_name: str | None = None
    denies: bool = False

    def __str__(self) -> str:
        return "not so" if self.denies else self.class_name or self.outcome or "?"


def of_answer(prediction: Prediction) -> Claim:
    return Claim(prediction.outcome, prediction.predicted_class_name)


def of_word(word: Feedback, answer: Claim) -> Claim | None:
    """None: the word asks or comments, and claims nothing."""
    if word.is_correct is None:
        return None
    if word.is_correct:
        return answer
    says_what = word.correct_class_name is not None or word.corrected_boxes is not None
    denies = not says_what and word.correct_outcome in (None, answer.outcome)
    return Claim(word.correct_outcome, word.correct_class_name, denies)


def said_at(word: Feedback) -> datetime:
    """When its author first claimed this: a remark added later makes a new row, and no new claim."""
    return word.claimed_at or word.timestamp


def is_answered(word: Feedback, reply: Review | None) -> bool:
    """Whether a reviewer has replied since it was said: who asked an expert waits no more."""
    return reply is not None and word.timestamp <= reply.created_at


def of_review(review: Review, answer: Claim) -> Claim:
    """What a review that decided says; one that accepts without more words says what the answer says."""
    return answer if review.outcome is None else Claim(review.outcome, review.class_name)


def agree(one: Claim, other: Claim, answer: Claim) -> bool:
    """Whether both can be true."""
    if None not in (one.outcome, other.outcome) and one.outcome != other.outcome:
        return False
    if None not in (one.class_name, other.class_name) and one.class_name != other.class_name:
        return False
    return not (_denied_by(one, other, answer) or _denied_by(other, one, answer))


def _denied_by(one: Claim, other: Claim, answer: Claim) -> bool:
    return (
        one.denies
        and not other.denies
        and other.outcome == answer.outcome
        and (other.class_name in (None, answer.class_name))
    )
