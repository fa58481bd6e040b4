"""Why people's words bring an answer before a reviewer, or bring it back. Decides nothing: a reviewer does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import combinations

from sqlalchemy import select
from sqlalchemy.orm import Session

from leafloop.learning.review import worth
from leafloop.learning.review.worth import Reason
from leafloop.learning.words import claims
from leafloop.learning.words.claims import Claim
from leafloop.learning.words.trust import lowest_trust
from leafloop.learning.words.word import Author
from leafloop.storage import words
from leafloop.storage.tables import Feedback, Prediction, Review, ReviewItem

# A lesion of Black Sigatoka goes from one stage to the next in about a week: an answer after two days is still of use in the field.
EXPERT_WITHIN = timedelta(days=2)
# Answers of one author that are ranked anew in a reviewer's own transaction, who waits for it: some 3 ms each. Of a flood the
# rest keeps its place until somebody speaks of it.
RERANKED = 200
OURS = ("asked", "disputes_review", "contradiction", "correction", "low_trust", "poor_photo", "confirmation")


def requeue(session: Session, prediction: Prediction, standing: Review | None) -> None:
    """Give the answer the place in the queue that its current words call for; reasons that no longer hold go."""
    said, reply = words.current(session, prediction.id), words.reply(session, prediction.id)
    asked = [word.timestamp for word in said if word.ask_expert and not claims.is_answered(word, reply)]
    found = [Reason("asked")] if asked else []
    found += _reasons(session, prediction, said, standing)
    due_at = min(asked) + EXPERT_WITHIN if asked else None
    worth.enqueue(session, prediction.id, found, due_at=due_at)
    worth.drop_reasons(session, prediction.id, sorted(set(OURS) - {reason.code for reason in found}))
    _close_again(session, prediction.id, found, reply)


def rerank(session: Session, authors: Iterable[Author]) -> None:
    """Give what authors have said, and nobody has judged yet, its place anew: their trust has changed."""
    for author in authors:
        for prediction in words.pending_of(session, author.key_id, author.user_id, limit=RERANKED):
            requeue(session, prediction, words.standing_review(session, prediction.id))


def _reasons(
    session: Session, prediction: Prediction, said: Sequence[Feedback], standing: Review | None
) -> Iterator[Reason]:
    answer = claims.of_answer(prediction)
    claimed = {word.id: claim for word in said if (claim := claims.of_word(word, answer)) is not None}
    if disputed := _disputed(said, claimed, standing, answer):
        yield Reason("disputes_review", disputed)
    if contradiction := _contradiction(list(claimed.values()), answer):
        yield Reason("contradiction", contradiction)
    if corrected := sorted({str(claimed[word.id]) for word in said if word.is_correct is False}):
        yield Reason("correction", ", ".join(corrected))
    elif claimed:
        yield Reason("confirmation")
    if claimed:
        yield from _doubts(session, prediction, [word for word in said if word.id in claimed])


def _disputed(
    said: Sequence[Feedback], claimed: dict[str, Claim], standing: Review | None, answer: Claim
) -> str | None:
    """What is said against a review by those who spoke after it; what was said before it, the reviewer knew."""
    if standing is None:
        return None
    decided = claims.of_review(standing, answer)
    later = [claimed[word.id] for word in said if word.id in claimed and claims.said_at(word) > standing.created_at]
    return next((str(claim) for claim in later if not claims.agree(claim, decided, answer)), None)


def _contradiction(claimed: Sequence[Claim], answer: Claim) -> str | None:
    """Each author has one current word, so any two claims are of two authors. Of equal claims one will do, as in a flood."""
    pairs = combinations(dict.fromkeys(claimed), 2)
    return next((f"{a}, {b}" for a, b in pairs if not claims.agree(a, b, answer)), None)


def _doubts(session: Session, prediction: Prediction, said: Sequence[Feedback]) -> Iterator[Reason]:
    low = lowest_trust(session, (Author(word.key_id, word.user_id) for word in said))
    if low is not None:
        yield Reason("low_trust", f"{low:.2f}")
    warnings = prediction.answer.get("quality", {}).get("warnings", [])
    if warnings:
        yield Reason("poor_photo", ", ".join(str(warning["code"]) for warning in warnings))


def _close_again(session: Session, prediction_id: str, found: Sequence[Reason], reply: Review | None) -> None:
    """An answer that was decided and is open only because of a word that was taken back is decided."""
    if reply is None or any(reason.code in worth.REOPENS for reason in found):
        return
    item = session.scalar(select(ReviewItem).where(ReviewItem.prediction_id == prediction_id))
    if item is not None and item.state == "open":
        item.state = "rejected" if reply.decision == "reject" else "done"
        item.decided_at, item.version = reply.created_at, item.version + 1
        session.flush()
