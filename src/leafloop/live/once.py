"""One answer for one Idempotency-Key, however often and wherever it is asked for at once. Knows no photo.

The first request claims the key in the ledger; the others, in this process or another, wait for its answer: not here, where each
would hold a thread that reading needs too, but with whoever asked (`crossing`, on the event loop). Whoever answers writes
the answer and ends the claim in one transaction, so there is never a row without its answer or an answer without its row. A claim
whose process died is taken over, at once where that can be seen (`claimants`), else after `LEASE`; should that process be alive
after all, its transaction finds the claim gone and writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from leafloop import log
from leafloop.errors import IdempotencyConflict, Overloaded, Unavailable
from leafloop.live import claimants
from leafloop.storage import idempotency
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import IdempotencyKey, now

_log = log.get(__name__)

T = TypeVar("T")
Body = dict[str, Any]
# Twice the 10 s in which an accepted photo is answered: then its process is dead, or as good as dead.
LEASE = timedelta(seconds=20)
WAIT_S = 30.0  # a lease and the work of the one who takes it over; then the sender is better served by a retry
_LEFT: dict[str, float] = {}  # when a claim of ours could not be let go, by its token: nobody need wait for its lease
POLL_S = (0.02, 0.25)  # from the time of a small photo to a pace that 50 waiting twins can keep up without harm


class Overtaken(Exception):
    """The claim was taken over while we were at work: what we have must not be written."""


class UnderWay(Exception):
    """A twin is at work on the same request: wait, and ask again once `is_over()` says that it is worth it."""

    def __init__(self, is_over: Callable[[], bool]) -> None:
        super().__init__()
        self.is_over = is_over


@dataclass(frozen=True, slots=True)
class Claim:
    """A key in its scope, the fingerprint of the request that uses it, and the token of the one who claims it."""

    scope: str
    key: str
    fingerprint: str
    token: str

    def finish(self, session: Session, body: Body, prediction_id: str) -> None:
        """Keep the answer under the key, in the transaction that writes its row. Raises `Overtaken`."""
        if not idempotency.finish(
            session, self.scope, self.key, token=self.token, answer=body, prediction_id=prediction_id, status=200
        ):
            raise Overtaken


def answer_once(
    ledger: Ledger,
    scope: str,
    key: str,
    fingerprint: str,
    work: Callable[[Claim], Body],
    *,
    may_begin: Callable[[], None] = lambda: None,
) -> Body:
    """The answer kept under `key`, or what `work` makes of it; `work` has to call `Claim.finish` as it writes its row.

    `may_begin` raises where `work` would have to be refused at once: then not even the claim is written. Raises `UnderWay` while
    a twin is at work, `IdempotencyConflict` when the key was used for another request, and what `work` raises: then the key is
    free again.
    """
    claim = Claim(scope, key, fingerprint, claimants.new_token())
    answer, free = _look(ledger, claim)
    if answer is not None:
        return answer
    if free:
        may_begin()
        if _take(ledger, claim):
            try:
                return _at_work(ledger, claim, work)
            except Overtaken:
                _log.warning("claim was taken over while at work", scope=scope)
    raise UnderWay(lambda: any(_look(ledger, claim)))


def pauses() -> Iterator[float]:
    """Seconds to wait before each look at a twin. Raises `Overloaded` when it takes too long."""
    give_up, pause = time.monotonic() + WAIT_S, POLL_S[0]
    while time.monotonic() < give_up:
        yield pause
        pause = min(2 * pause, POLL_S[1])
    raise Overloaded("The same request is still under way. Send it again in a moment.")


def patiently(work: Callable[[], T]) -> T:
    """What `work` gives, after any twin of it; for one who has a thread to wait in. Raises `Overloaded` and what `work` raises."""
    waits = pauses()
    while True:
        try:
            return work()
        except UnderWay as twin:
            for pause in waits:
                time.sleep(pause)
                if twin.is_over():
                    break


def _look(ledger: Ledger, claim: Claim) -> tuple[Body | None, bool]:
    """(the answer if there is one, whether the claim can be had). Only reads: those who wait must not hold up who works."""
    with ledger.reading() as session:
        row = session.get(IdempotencyKey, (claim.scope, claim.key))
        if row is None:
            return None, True
        if row.fingerprint != claim.fingerprint:
            raise IdempotencyConflict
        return row.answer, now() - row.claimed_at > LEASE or _is_over(row.claim_token)


def _take(ledger: Ledger, claim: Claim) -> bool:
    try:
        with ledger.transaction() as session:
            _end_what_is_over(session, claim)
            row = idempotency.claim(
                session, claim.scope, claim.key, fingerprint=claim.fingerprint, token=claim.token, lease=LEASE
            )
            return row.claim_token == claim.token and row.answer is None
    except Unavailable:  # whether it was committed is not known
        _leave(claim)
        raise


def _at_work(ledger: Ledger, claim: Claim, work: Callable[[Claim], Body]) -> Body:
    try:
        return work(claim)
    except Overtaken:
        raise
    except BaseException:  # whatever it was, also a stop of the process: the next request must not wait for the lease
        _let_go(ledger, claim)
        raise


def _let_go(ledger: Ledger, claim: Claim) -> None:
    try:
        with ledger.transaction() as session:
            idempotency.release(session, claim.scope, claim.key, token=claim.token)
    except Unavailable as error:  # the first error is the one to tell
        _log.warning("claim not released", scope=claim.scope, code=error.code)
        _leave(claim)


def _leave(claim: Claim) -> None:
    """Remember a claim that only we know to be dead; those whose lease has ended are free for all by now."""
    moment = time.monotonic()
    for token, since in list(_LEFT.items()):
        if moment - since > LEASE.total_seconds():
            _LEFT.pop(token, None)
    _LEFT[claim.token] = moment


def _is_over(token: str) -> bool:
    """Whether nobody works for a claim any more: we could not let it go, or its process is gone."""
    return token in _LEFT or claimants.is_dead(token)


def _end_what_is_over(session: Session, claim: Claim) -> None:
    """Release a claim for which nobody works. If it was answered after all, that answer stays."""
    row = session.get(IdempotencyKey, (claim.scope, claim.key))
    if row is not None and _is_over(row.claim_token):
        idempotency.release(session, claim.scope, claim.key, token=row.claim_token)
