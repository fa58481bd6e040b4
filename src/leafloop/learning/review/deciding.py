"""Review: a reviewer takes a case, decides, and takes it back; a settled decision makes a label. Knows no HTTP and no page.

    open ----------- decided -----------------------> done | rejected        settled: words are settled, a label is made
      \\-- a second opinion is wanted --> second -- the same --> done
                                             \\---- another --> disputed -- decided --> done | rejected

Whoever takes a case has a lease on it: nobody else is shown the photo until it runs out. Every change counts the item's version
up, and a decision names the version that it is about: of two, the first holds and the second is a `ReviewConflict`.
docs/REVIEW.md says the same for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from leafloop.errors import NotFound, ReviewConflict
from leafloop.learning.labels import labelling
from leafloop.learning.review import cases, opinions
from leafloop.learning.review.agreement import agreement, measured_accuracy
from leafloop.learning.review.cases import Case
from leafloop.learning.review.opinions import Decision, Opinion
from leafloop.learning.review.taking import is_leased, item_of, refuse_own_second, release, take, take_next
from leafloop.learning.review.worth import chance
from leafloop.learning.words import feedback
from leafloop.learning.words.word import checked_comment
from leafloop.storage import audit, predictions, reviews, words
from leafloop.storage import labels as stored_labels
from leafloop.storage.reviews import WAITING, Reviewer, reviewer_of
from leafloop.storage.tables import Prediction, Review, ReviewItem, now
from leafloop.taxonomy import Taxonomy

__all__ = [
    "Case", "Decision", "Reviewer", "agreement", "decide", "queue_counts", "release", "take", "take_next", "undo", "wants_second",
]  # fmt: skip

# A second opinion is only asked for by chance where somebody else reviews at all: within a month, as long as a holiday may last.
COLLEAGUES = timedelta(days=30)
DECIDED = "review.decide"
SETTLED = ("done", "rejected")


def decide(
    session: Session,
    taxonomy: Taxonomy,
    item_id: str,
    version: int,
    reviewer: Reviewer,
    decision: Decision,
    *,
    second_share: float,
) -> Review:
    """Put a decision on record, with all that follows of it, in the caller's one transaction.

    The same decision sent again by the same reviewer gives the same review. Raises `NotFound`, `RequestInvalid`, and
    `ReviewConflict` when somebody else has the case, or it changed since `version`.
    """
    item = item_of(session, item_id)
    prediction, image_hash = _hold(session, item)
    decision = replace(decision, comment=checked_comment(decision.comment))
    opinion = opinions.opinion_of(taxonomy, prediction, decision)
    if (again := _sent_again(session, item, version, reviewer, opinion, decision)) is not None:
        return again
    at = now()
    _refuse_conflict(session, item, image_hash, version, reviewer, at)
    before, given = item.state, reviews.opinions(session, item.id)
    review = _review(item, reviewer, decision, opinion, at, blind=cases.is_blind(item, given, reviewer))
    after = _state_after(session, item, given, review, decision, second_share)
    settled = after in SETTLED and decision.decision != "skip"
    session.add(review)
    values = {"state": after, "decided_at": at if settled else item.decided_at, "leased_by": None, "leased_until": None}
    if not reviews.change(session, item, **values):
        raise ReviewConflict
    session.flush()
    change = _settle(session, prediction, [*given, review], reviewer) if settled else None
    _record(session, item, review, version, before, change)
    return review


def undo(
    session: Session, taxonomy: Taxonomy, reviewer: Reviewer, *, lease_minutes: int, review_id: str | None = None
) -> Case | None:
    """Take this reviewer's last decision back and lease its case again; None: there is none.

    `review_id` says which one is meant, so that asking twice does not take two back. Words and label are again what they were.
    Raises `NotFound` (not this reviewer's), and `ReviewConflict` when it is not the last word on its photo any more.
    """
    del taxonomy
    review = reviews.last_by(session, reviewer) if review_id is None else _mine(session, review_id, reviewer)
    if review is None:
        return None
    item = item_of(session, review.item_id)
    if review.undone_at is not None:
        return cases.build(session, item, reviewer)
    _, image_hash = _hold(session, item)
    _refuse_undo(session, item, review, reviewer, image_hash)
    entry = audit.newest_of(session, action=DECIDED, subject=review.id)
    if entry is None or entry.detail is None:
        raise ReviewConflict("This decision is too old to be taken back: what was before it is not on record any more.")
    review.undone_at = at = now()
    before = entry.detail["state"][0]
    values = {"state": before, "leased_by": reviewer.identity, "leased_until": at + timedelta(minutes=lease_minutes)}
    if not reviews.change(session, item, decided_at=None if before in WAITING else item.decided_at, **values):
        raise ReviewConflict
    session.flush()
    _unsettle(session, item, review, entry.detail, reviewer)
    audit.record(session, actor=reviewer.actor, action="review.undo", subject=review.id)
    return cases.build(session, item, reviewer)


def outcome_of(session: Session, done: Review) -> dict[str, Any]:
    """What came of a decision, as plain data: the item's state and version, and the label if one was made or changed."""
    item = item_of(session, done.item_id)
    entry = audit.newest_of(session, action=DECIDED, subject=done.id)
    change = entry.detail["label"] if entry is not None and entry.detail is not None else None
    label = stored_labels.get(session, change["label_id"]) if change else None
    shown = None if label is None else {"id": label.id, "strength": label.strength, "revision": label.revision}
    return {"review_id": done.id, "item_id": item.id, "state": item.state, "version": item.version, "label": shown}


def settling(given: Sequence[Review]) -> Review:
    """Of the opinions on an item the one that holds: the last; of two that say the same, the one with boxes, else the first."""
    last = given[-1]
    if not last.blind or len(given) < 2:
        return last
    first = given[-2]
    return last if first.boxes is None and last.boxes is not None else first


def wants_second(prediction_id: str, share: float) -> bool:
    """Whether chance asks for a second opinion on an answer: the same at each call, and independent of the random share."""
    return chance("second", prediction_id) < share


def queue_counts(session: Session) -> dict[str, Any]:
    """How many items there are in each state, how many somebody waits for too long already, and the measured accuracy."""
    states = reviews.counts(session)
    return {
        **states,
        "waiting": sum(states[state] for state in WAITING),
        "overdue": reviews.overdue(session, now()),
        "accuracy": measured_accuracy(session),
    }


def _hold(session: Session, item: ReviewItem) -> tuple[Prediction, str]:
    """The answer and its photo's hash, both held: nobody says a word on the one or labels the other meanwhile.

    The answer is held first, as `words.hold` asks for; then the item is read again.
    """
    prediction = predictions.get(session, item.prediction_id) if words.hold(session, item.prediction_id) else None
    if prediction is None:
        raise NotFound("There is no case by this id.")
    image_hash = reviews.hold_photo(session, item)
    session.refresh(item)
    return prediction, image_hash


def _mine(session: Session, review_id: str, reviewer: Reviewer) -> Review:
    review = session.get(Review, review_id)
    if review is None or reviewer_of(review) != reviewer:
        raise NotFound("There is no decision by this id among yours.")
    if review.undone_at is None and reviews.last_by(session, reviewer) is not review:
        raise ReviewConflict("This is not your last decision. Take back the later ones first.")
    return review


def _refuse_conflict(
    session: Session, item: ReviewItem, image_hash: str, version: int, reviewer: Reviewer, at: datetime
) -> None:
    if item.version != version:
        raise ReviewConflict
    if item.leased_by != reviewer.identity and is_leased(item, at):
        raise ReviewConflict("Somebody else has this photo in hand. Take the next one.")
    if reviews.held_by_another(session, image_hash, item, reviewer, at):
        raise ReviewConflict("Somebody else has this photo in hand, as it was sent another time. Take the next one.")
    refuse_own_second(session, item, reviewer, at)


def _refuse_undo(session: Session, item: ReviewItem, review: Review, reviewer: Reviewer, image_hash: str) -> None:
    at = now()
    another = item.leased_by != reviewer.identity and is_leased(item, at)
    if another or reviews.held_by_another(session, image_hash, item, reviewer, at):
        raise ReviewConflict("Somebody else has this photo in hand now. What you decided can be undone after that.")
    given = reviews.opinions(session, item.id)
    if review.decision != "skip" and given[-1].id != review.id:
        raise ReviewConflict("Somebody else has judged this photo since. Take it by its id to judge it again.")


def _sent_again(
    session: Session, item: ReviewItem, version: int, reviewer: Reviewer, opinion: Opinion, decision: Decision
) -> Review | None:
    """The review that the same request made before: its answer got lost on the way."""
    last = reviews.last_by(session, reviewer)
    if last is None or last.item_id != item.id or item.version == version:
        return None
    entry = audit.newest_of(session, action=DECIDED, subject=last.id)
    if entry is None or entry.detail is None or entry.detail["version"] != version:
        return None
    is_same = (last.decision, last.comment) == (decision.decision, decision.comment)
    return last if is_same and opinions.stated(last) == opinion else None


def _state_after(
    session: Session,
    item: ReviewItem,
    given: Sequence[Review],
    review: Review,
    decision: Decision,
    second_share: float,
) -> str:
    if decision.decision == "skip":
        return item.state
    settled = "rejected" if decision.decision == "reject" else "done"
    if item.state == "second" and review.blind:
        return settled if opinions.same(given[-1], review) else "disputed"
    if item.state in ("second", "disputed"):
        return settled
    by_chance = not given and wants_second(item.prediction_id, second_share)
    if decision.ask_second or (by_chance and reviews.others_since(session, reviewer_of(review), now() - COLLEAGUES)):
        return "second"
    return settled


def _review(
    item: ReviewItem, reviewer: Reviewer, decision: Decision, opinion: Opinion, at: datetime, *, blind: bool
) -> Review:
    return Review(
        item_id=item.id,
        prediction_id=item.prediction_id,
        key_id=reviewer.key_id,
        reviewer=reviewer.name,
        decision=decision.decision,
        outcome=opinion.outcome,
        class_id=opinion.class_id,
        class_name=opinion.class_name,
        boxes=opinion.boxes,
        comment=decision.comment,
        blind=blind and decision.decision != "skip",
        seconds=decision.seconds,
        created_at=at,
    )


def _settle(
    session: Session, prediction: Prediction, given: Sequence[Review], reviewer: Reviewer
) -> labelling.Change | None:
    """Settle the words, and make the label."""
    holds = settling(given)
    ids = feedback.settle(session, prediction.id, holds)
    photo = predictions.photo_of(session, prediction)
    return labelling.apply(
        session,
        holds,
        prediction,
        photo,
        feedback_ids=ids,
        seconded=len(given) > 1,
        by=reviewer_of(holds).identity,
        actor=reviewer.actor,
    )


def _unsettle(session: Session, item: ReviewItem, review: Review, was: dict[str, Any], reviewer: Reviewer) -> None:
    """Words and label are again what they were before an undone decision."""
    if was["label"] is not None:
        labelling.take_back(session, labelling.Change(**was["label"]), actor=reviewer.actor, why=f"undone: {review.id}")
    if review.decision != "skip":
        feedback.settle(session, item.prediction_id, None)


def _record(
    session: Session, item: ReviewItem, review: Review, version: int, before: str, change: labelling.Change | None
) -> None:
    """In the audit log stands what an undo has to know."""
    detail = {
        "item": item.id,
        "version": version,
        "decision": review.decision,
        "state": [before, item.state],
        "label": None if change is None else asdict(change),
    }
    actor = reviewer_of(review).actor
    audit.record(session, actor=actor, action=DECIDED, subject=review.id, detail=detail)
