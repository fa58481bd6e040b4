"""What people say of answers: rows that are added and never changed, and a status that is derived from them.

    said       a word of its author; a second one on the same answer replaces the first, which stays
    withdrawn  taken back by its author (undo) or a reviewer; what it replaced counts again
    judged     by the review that stands: accepted or overruled, if it was claimed before that review, else pending;
               `judged` keeps that whatever replaces or withdraws the word later, for its author's trust

A word is a claim, not a truth: it brings the answer before a reviewer (`learning.review.reasons`), and only a review makes a label.
Every function works in the caller's transaction and holds the answer's row, so two words of one author at once come in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from leafloop.errors import NotFound
from leafloop.learning.review import reasons
from leafloop.learning.words import claims
from leafloop.learning.words.trust import low_trust
from leafloop.learning.words.word import Author, Word, checked
from leafloop.storage import audit, words
from leafloop.storage.tables import Feedback, Prediction, Review, new_id, now
from leafloop.taxonomy import Taxonomy

__all__ = ["Author", "Word", "current", "fold", "settle", "submit", "undo", "withdraw", "words_of"]

PENDING, ACCEPTED, OVERRULED, REPLACED, WITHDRAWN = "pending", "accepted", "overruled", "replaced", "withdrawn"
_TICK = timedelta(microseconds=1)  # the finest that both databases keep


def submit(session: Session, taxonomy: Taxonomy, prediction: Prediction, author: Author, word: Word) -> Feedback:
    """Keep a word, and queue its answer for review. What its author said before, unchanged, is the same row and not a new one.

    Raises `RequestInvalid` for a word that cannot be meant, `NotFound` when the answer was deleted meanwhile.
    """
    said = checked(word, taxonomy, prediction)
    _hold(session, prediction.id)
    history = words.of_author(session, prediction.id, author.key_id, author.user_id)
    before = _current_of(history)
    reply = words.reply(session, prediction.id)
    if before is not None and _content(before) == _content_of(said) and not _asks_again(before, reply):
        return before
    standing = words.standing_review(session, prediction.id)
    row = _row(prediction, author, said, before, _moment(history, standing, reply))
    session.add(row)
    _derive(session, prediction, [*history, row], standing)
    return row


def undo(session: Session, prediction: Prediction, author: Author, *, word_id: str | None = None) -> Feedback | None:
    """Take the author's current word back; what it replaced is current again. What is current now, or None.

    `word_id` says which one is meant, so that asking twice does not take two back. Raises `NotFound` when the author has no word
    here to take back, or none by this id.
    """
    _hold(session, prediction.id)
    word = current(session, prediction.id, author)
    if word_id is not None and (word is None or word.id != word_id):
        history = words.of_author(session, prediction.id, author.key_id, author.user_id)
        if not any(one.id == word_id and one.status == WITHDRAWN for one in history):
            raise NotFound(
                "The word that counts on this answer is not the one by this id, or not yours. Read it again."
            )
        return word
    if word is None:
        raise NotFound("There is no word of yours on this answer to take back.")
    return _withdraw(session, prediction, word, actor=_actor(author))


def withdraw(session: Session, prediction: Prediction, word: Feedback, *, actor: str) -> Feedback | None:
    """Take any word back, also one that was replaced. What is current of its author now. Raises `NotFound` if it was taken back."""
    _hold(session, prediction.id)
    session.refresh(word)
    if word.status == WITHDRAWN:
        raise NotFound("This word was taken back already.")
    return _withdraw(session, prediction, word, actor=actor)


def current(session: Session, prediction_id: str, author: Author) -> Feedback | None:
    """The author's word that counts."""
    return _current_of(words.of_author(session, prediction_id, author.key_id, author.user_id))


def words_of(session: Session, prediction_id: str) -> Sequence[Feedback]:
    """The current words of all authors, oldest first."""
    return words.current(session, prediction_id)


def settle(session: Session, prediction_id: str, review: Review | None) -> list[str]:
    """Judge every current word by the review that stands now, as one was made or undone; the words' ids.

    To be called in the review's own transaction, after its row was added or marked as undone. Where an author's trust becomes
    low by it, or is low no more, what else they said gets another place in the queue.
    """
    session.flush()
    _hold(session, prediction_id)
    said = words.current(session, prediction_id)
    if review is not None and review.undone_at is None and said:
        # Replicas' clocks differ: what a reviewer has before him was said before.
        review.created_at = max(review.created_at, *(word.timestamp for word in said))
        session.flush()
    prediction = session.get_one(Prediction, prediction_id)
    judge = _judge(prediction, words.standing_review(session, prediction_id))
    history = words.all_of(session, prediction_id)
    authors = {Author(word.key_id, word.user_id) for word in history}
    low = low_trust(session, authors).keys()
    for word in said:
        word.status = judge(word)
    _remember(history, judge)
    session.flush()
    reasons.rerank(session, low ^ low_trust(session, authors).keys())
    return [word.id for word in said]


def fold(history: Sequence[Feedback], judge: Callable[[Feedback], str]) -> dict[str, str]:
    """The status of each word of one author on one answer, from its rows, oldest first; `judge` says how a current one stands.

    A word is replaced while any that came in its place, or in the place of that one, is not withdrawn.
    """
    statuses: dict[str, str] = {}
    replaced: set[str | None] = set()
    for word in reversed(history):
        if word.status == WITHDRAWN:
            statuses[word.id] = WITHDRAWN
        else:
            statuses[word.id] = REPLACED if word.id in replaced else judge(word)
            replaced.add(word.id)
        if word.id in replaced:
            replaced.add(word.replaces)
    return statuses


def _remember(history: Sequence[Feedback], judge: Callable[[Feedback], str]) -> None:
    """Note what a review makes of each claim that it meets, or that one before it met: once, at the claim's oldest row."""
    said = {_whose_claim(word) for word in history if word.status in words.CURRENT or word.judged is not None}
    for word in history:
        counts = word.is_correct is not None and _whose_claim(word) in said
        said.discard(_whose_claim(word))
        verdict = judge(word) if counts else PENDING
        word.judged = None if verdict == PENDING else verdict


def _whose_claim(word: Feedback) -> tuple[str | None, str | None, datetime]:
    return word.key_id, word.user_id, claims.said_at(word)


def _withdraw(session: Session, prediction: Prediction, word: Feedback, *, actor: str) -> Feedback | None:
    detail = {"prediction_id": prediction.id, "status": word.status}
    audit.record(session, actor=actor, action="feedback.withdraw", subject=word.id, detail=detail)
    word.status = WITHDRAWN
    session.flush()
    history = words.of_author(session, prediction.id, word.key_id, word.user_id)
    _derive(session, prediction, history, words.standing_review(session, prediction.id))
    return _current_of(history)


def _derive(session: Session, prediction: Prediction, history: Sequence[Feedback], standing: Review | None) -> None:
    statuses = fold(history, _judge(prediction, standing))
    for word in history:
        word.status = statuses[word.id]
    session.flush()
    reasons.requeue(session, prediction, standing)


def _judge(prediction: Prediction, standing: Review | None) -> Callable[[Feedback], str]:
    """How a current word stands with the review. What is claimed after it waits: whoever repeats a review earns nothing by it."""
    answer = claims.of_answer(prediction)

    def judge(word: Feedback) -> str:
        if standing is None or claims.said_at(word) > standing.created_at:
            return PENDING
        claim = claims.of_word(word, answer)
        holds = claim is None or claims.agree(claim, claims.of_review(standing, answer), answer)
        return ACCEPTED if holds else OVERRULED

    return judge


def _hold(session: Session, prediction_id: str) -> None:
    if not words.hold(session, prediction_id):
        raise NotFound("There is no answer by this id any more: it was deleted.")


def _current_of(history: Sequence[Feedback]) -> Feedback | None:
    return next((word for word in reversed(history) if word.status in words.CURRENT), None)


def _asks_again(before: Feedback, reply: Review | None) -> bool:
    """Whether to ask an expert, as the word before did, is a new question: that one was replied to."""
    return before.ask_expert and claims.is_answered(before, reply)


def _moment(history: Sequence[Feedback], *reviews: Review | None) -> datetime:
    """Now, and after all that it follows: clocks of replicas differ, the order of rows must not."""
    earlier = [word.timestamp for word in history[-1:]] + [review.created_at for review in reviews if review]
    return max(now(), *(moment + _TICK for moment in earlier)) if earlier else now()


def _row(prediction: Prediction, author: Author, said: Word, before: Feedback | None, moment: datetime) -> Feedback:
    return Feedback(
        id=new_id(),
        prediction_id=prediction.id,
        key_id=author.key_id,
        user_id=author.user_id,
        is_correct=said.is_correct,
        correct_class_id=said.correct_class_id,
        correct_class_name=said.correct_class_name,
        correct_outcome=said.correct_outcome,
        corrected_boxes=None if said.corrected_boxes is None else list(said.corrected_boxes),
        ask_expert=said.ask_expert,
        user_comment=said.comment,
        confidence_rating=said.rating,
        feedback_source=said.source,
        timestamp=moment,
        claimed_at=claims.said_at(before) if before is not None and _claims_the_same(before, said) else None,
        status=PENDING,
        replaces=before.id if before else None,
        processed_for_training=False,
    )


def _claims_the_same(before: Feedback, said: Word) -> bool:
    return said.is_correct is not None and _claim(before) == _claim_of(said)


def _claim(row: Feedback) -> tuple[object, ...]:
    return row.is_correct, row.correct_class_id, row.correct_outcome, row.corrected_boxes


def _claim_of(said: Word) -> tuple[object, ...]:
    boxes = None if said.corrected_boxes is None else list(said.corrected_boxes)
    return said.is_correct, said.correct_class_id, said.correct_outcome, boxes


def _content(row: Feedback) -> tuple[object, ...]:
    return *_claim(row), row.ask_expert, row.user_comment, row.confidence_rating


def _content_of(said: Word) -> tuple[object, ...]:
    return *_claim_of(said), said.ask_expert, said.comment, said.rating


def _actor(author: Author) -> str:
    return f"key:{author.key_id}" if author.key_id else "open"
