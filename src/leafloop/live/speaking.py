"""A person's word comes in: kept, then acknowledged, once for each Idempotency-Key, by whatever door. Judges no word
(`learning.words.feedback` does) and knows no HTTP."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.orm import Session

from leafloop import metrics
from leafloop.errors import NotFound
from leafloop.learning.words import feedback
from leafloop.learning.words.feedback import Author, Word
from leafloop.learning.words.word import kind_of
from leafloop.live.once import answer_once
from leafloop.live.submission import Sender, Submission, checked
from leafloop.storage import predictions
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Feedback, Prediction, Review
from leafloop.taxonomy import Taxonomy

Body = dict[str, Any]
_ID = re.compile(r"[0-9a-f-]{36}", re.ASCII)

KEPT = "Thank you. Your word is kept, and a reviewer will look where it is needed."
TAKEN_BACK = "Your word is taken back."
COUNTS_AGAIN = "Your word is taken back; the one before it counts again."


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks. Without `sees_all` (reviewers, the command line) only answers of the same key are there for him."""

    key_id: str | None
    user_id: str | None = None
    sees_all: bool = False
    source: str = "api"

    @property
    def scope(self) -> str:
        """Where an Idempotency-Key means something."""
        return Sender(self.key_id, "field").scope


def submit(
    ledger: Ledger, taxonomy: Taxonomy, speaker: Speaker, prediction_id: str, word: Word, key: str | None = None
) -> Body:
    """Keep a word: the body of `POST /feedback/submit`. Raises `NotFound`, `RequestInvalid`, `IdempotencyConflict`."""

    def keep(session: Session, prediction: Prediction, author: Author) -> Body:
        row = feedback.submit(session, taxonomy, prediction, author, word)
        return {"success": True, "feedback_id": row.id, "message": KEPT, "status": row.status}

    body = _once(ledger, speaker, prediction_id, ["submit", asdict(word)], key, keep)
    metrics.FEEDBACK.labels(kind=kind_of(word)).inc()
    return body


def undo(
    ledger: Ledger, speaker: Speaker, prediction_id: str, key: str | None = None, *, word_id: str | None = None
) -> Body:
    """Take the speaker's current word back: the body of `POST /feedback/undo`. Raises as `submit` does."""

    def take_back(session: Session, prediction: Prediction, author: Author) -> Body:
        row = feedback.undo(session, prediction, author, word_id=word_id)
        if row is None:
            return {"success": True, "feedback_id": None, "message": TAKEN_BACK, "status": None}
        return {"success": True, "feedback_id": row.id, "message": COUNTS_AGAIN, "status": row.status}

    request = ["undo"] if word_id is None else ["undo", word_id]
    body = _once(ledger, speaker, prediction_id, request, key, take_back)
    metrics.FEEDBACK.labels(kind="undo").inc()
    return body


def told(row: Feedback) -> Body:
    """A word as it is kept: the older system's columns by their names, and ours."""
    same = (
        "id", "prediction_id", "user_id", "is_correct", "correct_class_id", "correct_class_name", "correct_outcome",
        "corrected_boxes", "ask_expert", "user_comment", "confidence_rating", "feedback_source", "timestamp", "status",
        "replaces", "processed_for_training", "processed_at",
    )  # fmt: skip
    return {name: getattr(row, name) for name in same}


def reply_told(review: Review | None) -> Body | None:
    """What the person who asked is told of a review."""
    if review is None:
        return None
    return {
        "outcome": review.outcome,
        "class_name": review.class_name,
        "comment": review.comment,
        "at": review.created_at,
    }


def visible(session: Session, key_id: str | None, prediction_id: str, *, sees_all: bool) -> Prediction:
    """An answer that may be spoken of. Somebody else's is as absent as one that never was: its id must not say more."""
    row = predictions.get(session, prediction_id) if _ID.fullmatch(prediction_id) else None
    if row is None or not (sees_all or row.key_id == key_id):
        raise NotFound("There is no answer by this id among those that you may see.")
    return row


def _once(
    ledger: Ledger,
    speaker: Speaker,
    prediction_id: str,
    request: list[Any],
    key: str | None,
    work: Callable[[Session, Prediction, Author], Body],
) -> Body:
    said = checked(Submission(data=b"", user_id=speaker.user_id, idempotency_key=key), Sender(None, "field"))
    author, prediction_id = Author(speaker.key_id, said.user_id), prediction_id.strip()

    def done(finish: Callable[[Session, Body, str], None] | None) -> Body:
        with ledger.transaction() as session:
            prediction = visible(session, speaker.key_id, prediction_id, sees_all=speaker.sees_all)
            body = work(session, prediction, author)
            if finish is not None:
                finish(session, body, prediction_id)
        return body

    if said.idempotency_key is None:
        return done(None)
    fingerprint = hashlib.sha256(json.dumps([prediction_id, author.user_id, *request]).encode()).hexdigest()
    return answer_once(ledger, speaker.scope, said.idempotency_key, fingerprint, lambda claim: done(claim.finish))
