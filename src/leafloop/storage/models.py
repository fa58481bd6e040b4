"""Rows of model versions, and the pointer that says which one has a role. Moving it is settled by the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer, cast, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from leafloop.storage.tables import LiveModel, Model, now


def add_version(session: Session, *, bundle_hash: str, manifest: dict[str, Any], source: str) -> Model:
    """Add a bundle as the next version: "1", "2", ... Of two at once the second one's transaction fails on the key."""
    newest = session.scalar(select(func.max(cast(Model.version, Integer)))) or 0
    model = Model(
        version=str(newest + 1),
        name=manifest["name"],
        bundle_hash=bundle_hash,
        licence=manifest["licence"],
        source=source[:200],
        manifest=manifest,
    )
    session.add(model)
    session.flush()
    return model


def get(session: Session, version: str) -> Model | None:
    """A version."""
    return session.get(Model, version)


def by_hash(session: Session, bundle_hash: str) -> Model | None:
    """The version of a bundle, if it was added."""
    return session.scalar(select(Model).where(Model.bundle_hash == bundle_hash))


def count(session: Session) -> int:
    """How many versions there are."""
    return session.scalar(select(func.count()).select_from(Model)) or 0


def list_all(session: Session) -> list[tuple[Model, list[str]]]:
    """Every version with its aliases, newest first. `previous` is what the champion took over from."""
    aliases: dict[str, list[str]] = {}
    for live in session.scalars(select(LiveModel)):
        aliases.setdefault(live.version, []).append(live.role)
        if live.role == "champion" and live.previous_version:
            aliases.setdefault(live.previous_version, []).append("previous")
    found = session.scalars(select(Model).order_by(cast(Model.version, Integer).desc()))
    return [(model, sorted(aliases.get(model.version, []))) for model in found]


def pointer(session: Session, role: str) -> LiveModel | None:
    """Who has a role now. Read fresh, since another process may have moved it."""
    return session.get(LiveModel, role, populate_existing=True)


def move_pointer(session: Session, role: str, version: str, *, expected: int, actor: str, reason: str) -> bool:
    """Point a role at a version if nobody moved it since `expected` was read (0: it pointed nowhere). False: somebody did."""
    if expected == 0:
        return _point_first(session, role, version, actor, reason)
    moved = session.execute(
        update(LiveModel)
        .where(LiveModel.role == role, LiveModel.pointer_version == expected)
        .values(
            previous_version=LiveModel.version,
            version=version,
            pointer_version=expected + 1,
            since=now(),
            actor=actor,
            reason=reason,
        )
        .execution_options(synchronize_session=False)
    )
    return int(moved.rowcount) == 1  # type: ignore[attr-defined]  # an UPDATE's result has it


def _point_first(session: Session, role: str, version: str, actor: str, reason: str) -> bool:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    first = dialect.insert(LiveModel).values(
        role=role, version=version, pointer_version=1, since=now(), actor=actor, reason=reason
    )
    return session.scalar(first.on_conflict_do_nothing().returning(LiveModel.role)) is not None
