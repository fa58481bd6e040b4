"""Moves the pointer that says which model answers, and moves it back. Loads nothing: replicas follow the pointer themselves."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.orm import Session

from leafloop import log
from leafloop.errors import NotFound, PromotionConflict, RequestInvalid
from leafloop.learning import registry
from leafloop.live.serving import CHAMPION
from leafloop.storage import audit, models
from leafloop.storage.ledger import Ledger
from leafloop.taxonomy import Taxonomy

_log = log.get(__name__)

MAX_REASON = 1000  # a reason is a few sentences for the one who reads the audit log later


class _Store(Protocol):
    """What is needed of `live.parts.Store`, which imports this module."""

    @property
    def ledger(self) -> Ledger: ...
    @property
    def taxonomy(self) -> Taxonomy: ...


def promote(store: _Store, version: str, *, reason: str, actor: str) -> dict[str, str | None]:
    """Make `version` the champion: `{version, previous}`, previous being what answered before.

    Raises `NotFound` (no such version), `BundleRejected` (another class set), `RequestInvalid` (no reason) and
    `PromotionConflict` (somebody else moved the pointer in between). Promoting the champion again changes nothing.
    """
    with store.ledger.transaction() as session:
        return move(session, store.taxonomy, version, reason=reason, actor=actor, action="promote")


def rollback(store: _Store, version: str | None = None, *, reason: str, actor: str) -> dict[str, str | None]:
    """Go back to `version`, or to the model that answered before this one. Raises what `promote` raises."""
    with store.ledger.transaction() as session:
        target = version or _previous(session)
        return move(session, store.taxonomy, target, reason=reason, actor=actor, action="rollback")


def move(
    session: Session, taxonomy: Taxonomy, version: str, *, reason: str, actor: str, action: str
) -> dict[str, str | None]:
    """Move the pointer and write down who and why, in the caller's one transaction."""
    reason = _checked(reason)
    model = models.get(session, version)
    if model is None:
        raise NotFound(f"There is no model version '{version[:32]}'. 'leafloop models list' shows all.")
    registry.refuse_other_classes(registry.class_names(model.manifest), taxonomy)
    pointer = models.pointer(session, CHAMPION)
    if pointer is not None and pointer.version == version:
        return {"version": version, "previous": pointer.previous_version}
    expected = pointer.pointer_version if pointer else 0
    previous = pointer.version if pointer else None
    if not models.move_pointer(session, CHAMPION, version, expected=expected, actor=actor, reason=reason):
        raise PromotionConflict
    audit.record(
        session,
        actor=actor,
        action=action,
        subject=version,
        reason=reason,
        detail={"role": CHAMPION, "previous": previous},
    )
    _log.info("champion moved", action=action, version=version, previous=previous, actor=actor)
    return {"version": version, "previous": previous}


def _previous(session: Session) -> str:
    pointer = models.pointer(session, CHAMPION)
    if pointer is None or pointer.previous_version is None:
        raise NotFound("There is no earlier model to go back to. 'leafloop models list' shows all.")
    return pointer.previous_version


def _checked(reason: str) -> str:
    reason = reason.strip()
    if not reason or len(reason) > MAX_REASON:
        raise RequestInvalid(f"Say why, in 1 to {MAX_REASON} characters: the reason is kept in the audit log.")
    return reason
