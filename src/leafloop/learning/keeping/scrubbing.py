"""A person's name and words out of the audit log: what was done, when and on what stays. The one change that its rows ever see."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from leafloop.storage.tables import AuditEntry

# What a person is, says or calls things; ids, hashes and classes are none of them.
PERSONAL = frozenset(
    (
        "user_id",
        "user_location",
        "user_comment",
        "comment",
        "reviewer",
        "validated_by",
        "metadata",
        "file_name",
        "group",
        "captured_at",
    )
)
ERASED = "erased"


def blank_subjects(session: Session, ids: Collection[str]) -> int:
    """Blank what is personal in the entries that tell of these rows. How many changed."""
    actions = select(AuditEntry.action).distinct()  # few, and the index begins with them
    chosen = select(AuditEntry).where(AuditEntry.action.in_(actions), AuditEntry.subject.in_(ids))
    return sum(_blank(entry) for entry in session.scalars(chosen).all())


def blank_person(
    session: Session, user_id: str, keys: Collection[str | None], identities: Collection[str], *, limit: int
) -> int:
    """Blank the entries that still name a person: those of answers that they deleted themselves, and of labels that they decided on
    as a reviewer. How many changed."""
    names = {user_id, *identities}
    about = session.scalars(select(AuditEntry).where(names_person(user_id, keys)).limit(limit)).all()
    told = {told for entry in about for told in told_of(entry)}
    blanked = blank_subjects(session, told) if told else 0  # of what they deleted themselves: a comment, a place
    by_decision = or_(
        *(AuditEntry.detail[(when, "validated_by")].as_string().in_(names) for when in ("before", "after"))
    )
    by_identity = or_(AuditEntry.actor.in_(identities), AuditEntry.subject.in_(identities))
    by_label = labels_key(user_id, keys)
    session.flush()
    chosen = select(AuditEntry).where(or_(names_person(user_id, keys), by_decision, by_identity, by_label))
    entries = session.scalars(chosen.limit(limit)).all()
    for entry in entries:
        of_theirs = isinstance(entry.detail, dict) and entry.detail.get("user_id") == user_id
        entry.detail = _without(entry.detail) if of_theirs else _unnamed(entry.detail, names)
        if entry.actor in identities:
            entry.actor = _nameless(entry.actor)
        if entry.subject in identities:
            entry.subject = _nameless(entry.subject)
    return blanked + len(entries)


def told_of(entry: AuditEntry) -> set[str]:
    """The ids of all rows that an entry tells of: its subject, and what went with it."""
    return {entry.subject or "", *_ids(entry.detail)} - {""}


def labels_key(user_id: str, keys: Collection[str | None]) -> ColumnElement[bool]:
    """Whether an entry tells of the making of a key that was given a person's name."""
    of_theirs = AuditEntry.subject.in_([key_id for key_id in keys if key_id is not None])
    return and_(AuditEntry.action == "key.create", of_theirs, AuditEntry.detail["label"].as_string() == user_id)


def keys_named(session: Session, user_id: str) -> set[str]:
    """The keys within which entries name a person: all that is left of one who has deleted everything."""
    key = AuditEntry.detail["key_id"].as_string()
    chosen = select(key).where(AuditEntry.detail["user_id"].as_string() == user_id, key.is_not(None))
    return {key_id for key_id in session.scalars(chosen.distinct()) if key_id}


def names_person(user_id: str, keys: Collection[str | None]) -> ColumnElement[bool]:
    """Whether an entry is about a person. Where it does not say the key, the name alone decides."""
    key = AuditEntry.detail["key_id"].as_string()
    within = or_(key.in_([key_id for key_id in keys if key_id is not None]), key.is_(None))
    return and_(AuditEntry.detail["user_id"].as_string() == user_id, within)


def _blank(entry: AuditEntry) -> bool:
    blanked = _without(entry.detail)
    changed = bool(blanked != entry.detail)
    if changed:
        entry.detail = blanked
    return changed


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: None if name in PERSONAL else _without(below) for name, below in value.items()}
    return [_without(below) for below in value] if isinstance(value, list) else value


def _ids(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["id"]} if isinstance(value.get("id"), str) else set()
        return own.union(*(_ids(below) for below in value.values()))
    return set[str]().union(*(_ids(below) for below in value)) if isinstance(value, list) else set()


def _unnamed(value: Any, names: Collection[str]) -> Any:
    """Plain data with None in place of some names."""
    if isinstance(value, dict):
        return {name: _unnamed(below, names) for name, below in value.items()}
    if isinstance(value, list):
        return [_unnamed(below, names) for below in value]
    return None if isinstance(value, str) and value in names else value


def _nameless(identity: str | None) -> str:
    return f"{(identity or '').partition('/')[0]}/{ERASED}"
