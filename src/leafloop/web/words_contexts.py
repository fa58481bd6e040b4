"""What the part of the answer card is given that asks "Is this right?" and keeps what people said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class ClassChoice:
    """One class to choose from: its name for the form, its mark and words for people. `answered`: it is what we said."""

    name: str
    mark: str
    title: str
    colour: str
    ink: str
    answered: bool


@dataclass(frozen=True, slots=True)
class Said:
    """One word of a person. `kind`: right, class, nothing, no_leaf, boxes, outcome, wrong or remark; the template has the words."""

    kind: str
    title: str | None
    outcome: str | None
    boxes: int
    comment: str | None
    rating: int | None
    asks: bool
    status: str
    at: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reviewer decided. `kind`: agrees, differs or unclear. `title`: the class; None where only an outcome was named."""

    kind: str
    title: str | None
    outcome: str | None
    boxes: int | None
    comment: str | None
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsView:
    """What this person said of an answer, and what can be said. `outcome`, `marked`: what the answer was, and whether it has boxes.

    `own`: it is their photo, so consent is theirs to give.
    """

    id: str
    outcome: str
    marked: bool
    said: Said | None
    before: tuple[Said, ...]
    reply: Reply | None
    choices: tuple[ClassChoice, ...]
    consent: bool | None
    own: bool
    form_token: str
    editor: dict[str, Any]  # what boxes.js is given


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsCard:
    """The part alone, for the script that sent a word. `done`: what it sent (said, undone, consent)."""

    template: ClassVar[str] = "_words.html"
    words: WordsView
    done: str | None = None
