"""Rows of clients' Idempotency-Keys: claimed by one, finished with the answer, or let go. Waiting is `live.once`'s."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from leafloop.storage.tables import IdempotencyKey, now


def claim(session: Session, scope: str, key: str, *, fingerprint: str, token: str, lease: timedelta) -> IdempotencyKey:
    """The row of a key after an attempt to claim it: ours if its `claim_token` is `token`, done if it has an `answer`.

    A claim without an answer that is older than `lease` is taken over: whoever made it died. Its fingerprint stays: another
    request under the key is a conflict for the caller to see.
    """
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    moment = now()
    new = dialect.insert(IdempotencyKey).values(
        scope=scope, key=key, fingerprint=fingerprint, claim_token=token, claimed_at=moment, created_at=moment
    )
    session.execute(new.on_conflict_do_nothing())
    mine = _key(scope, key)
    session.execute(
        update(IdempotencyKey)
        .where(*mine, IdempotencyKey.answer.is_(None), IdempotencyKey.claimed_at < moment - lease)
        .where(IdempotencyKey.fingerprint == fingerprint)
        .values(claim_token=token, claimed_at=moment)
        .execution_options(synchronize_session=False)
    )
    return session.execute(select(IdempotencyKey).where(*mine).execution_options(populate_existing=True)).scalar_one()


def finish(
    session: Session, scope: str, key: str, *, token: str, answer: dict[str, Any], prediction_id: str, status: int
) -> bool:
    """Keep the answer if the claim is still ours. False: it was taken over, so nothing of ours may be written."""
    done = session.execute(
        update(IdempotencyKey)
        .where(*_key(scope, key), IdempotencyKey.claim_token == token, IdempotencyKey.answer.is_(None))
        .values(answer=answer, prediction_id=prediction_id, status=status)
        .execution_options(synchronize_session=False)
    )
    return int(done.rowcount) == 1  # type: ignore[attr-defined]  # an UPDATE's result has it


def release(session: Session, scope: str, key: str, *, token: str) -> None:
    """Let a claim of ours go, so that the key is free again; an answer that was kept stays."""
    session.execute(
        delete(IdempotencyKey).where(
            *_key(scope, key), IdempotencyKey.claim_token == token, IdempotencyKey.answer.is_(None)
        )
    )


def forget(session: Session, *, answered_before: datetime, claimed_before: datetime, limit: int) -> int:
    """Delete at most `limit` rows: answers that were kept long enough, and claims whose maker died. How many they were."""
    over = _over(answered_before, claimed_before)
    chosen = session.execute(select(IdempotencyKey.scope, IdempotencyKey.key).where(over).limit(limit)).all()
    for scope, key in chosen:
        session.execute(delete(IdempotencyKey).where(*_key(scope, key), over))
    return len(chosen)


def forgettable(session: Session, *, answered_before: datetime, claimed_before: datetime) -> int:
    """How many rows `forget` would delete."""
    over = _over(answered_before, claimed_before)
    return session.scalar(select(func.count()).select_from(IdempotencyKey).where(over)) or 0


def _over(answered_before: datetime, claimed_before: datetime) -> ColumnElement[bool]:
    answered = and_(IdempotencyKey.answer.is_not(None), IdempotencyKey.created_at < answered_before)
    return or_(answered, and_(IdempotencyKey.answer.is_(None), IdempotencyKey.claimed_at < claimed_before))


def _key(scope: str, key: str) -> tuple[Any, Any]:
    return IdempotencyKey.scope == scope, IdempotencyKey.key == key
