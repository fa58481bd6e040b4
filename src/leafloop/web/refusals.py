"""What each error says of itself, by its code, in the reader's language; knows no page and no status.

A class's docstring is its message: what, why, what to do. The catalogues translate that, so it is less exact than the English
detail of one refusal, and understood.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from leafloop import errors
from leafloop.web import languages

_NEVER_ON_A_PAGE = (
    errors.BundleRejected,
    errors.DatasetRejected,
    errors.SnapshotRejected,
    errors.TrainingFailed,
    errors.TaxonomyInvalid,
    errors.ConfigurationInvalid,
    errors.PromotionConflict,
    errors.TusVersionUnknown,
)


@cache
def messages() -> dict[str, str]:
    """In English, as they are written. The first sentence is the title."""
    return {kind.code: " ".join((kind.__doc__ or "").split()) for kind in _kinds(errors.LeafloopError)}


def texts() -> dict[str, str]:
    """In the language of the request under way. None in English: there a refusal's own detail says more."""
    if languages.language() == languages.ENGLISH:
        return {}
    return {code: languages.gettext(message) for code, message in messages().items()}


def translated(code: str) -> tuple[str, str] | None:
    """Title and detail. None in English, and for what HTTP itself refuses, which is no error of ours."""
    message = texts().get(code)
    if message is None:
        return None
    title, _, detail = message.partition(". ")
    return title.rstrip("."), detail


def _kinds(parent: type[errors.LeafloopError]) -> Iterator[type[errors.LeafloopError]]:
    if not issubclass(parent, _NEVER_ON_A_PAGE):
        yield parent
    for kind in parent.__subclasses__():
        yield from _kinds(kind)
