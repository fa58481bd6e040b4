"""A class as a person or a file names it: by name, by id, or by both, which then have to agree. Never a default class."""

from __future__ import annotations

from leafloop.errors import RequestInvalid
from leafloop.taxonomy import Taxonomy


def find_class(taxonomy: Taxonomy, name: str | None, class_id: int | None, *, field: str) -> int | None:
    """The id of the class that is meant; None: none is named. `field` says in an error where it stood.

    Raises `RequestInvalid` for a class that is not in the set, and where name and id mean different ones.
    """
    if name is None and class_id is None:
        return None
    by_name = _by_name(taxonomy, name, field) if name is not None else None
    by_id = _by_id(taxonomy, class_id, field) if class_id is not None else None
    if by_name is not None and by_id is not None and by_name != by_id:
        raise RequestInvalid(
            f"{field}: the name '{taxonomy.class_names[by_name]}' and the id {by_id} are two classes. Send one of them.",
            field=field,
        )
    return by_id if by_name is None else by_name


def outcome_of(taxonomy: Taxonomy, class_id: int) -> str:
    """What a class says of a leaf: `healthy` or `diseased`."""
    return "healthy" if class_id in taxonomy.healthy_ids else "diseased"


def _by_name(taxonomy: Taxonomy, name: str, field: str) -> int:
    if not isinstance(name, str) or name.strip() not in taxonomy.class_names:
        raise RequestInvalid(_unknown(taxonomy, f"'{str(name)[:64]}'", field), field=field)
    return taxonomy.class_names.index(name.strip())


def _by_id(taxonomy: Taxonomy, class_id: int, field: str) -> int:
    if isinstance(class_id, bool) or not isinstance(class_id, int) or not 0 <= class_id < len(taxonomy.classes):
        raise RequestInvalid(_unknown(taxonomy, f"id {str(class_id)[:64]}", field), field=field)
    return class_id


def _unknown(taxonomy: Taxonomy, what: str, field: str) -> str:
    named = ", ".join(f"{i} {name}" for i, name in enumerate(taxonomy.class_names))
    return f"{field}: {what} is not a class of {taxonomy.name}. The classes are: {named}."
