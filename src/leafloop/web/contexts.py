"""What each template is given, field by field; a test renders every template with exactly these names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from leafloop.web.words_contexts import WordsCard, WordsView


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at the page. `open_mode`: no key was ever made and we listen on loopback alone, so nobody logs in."""

    open_mode: bool = False
    signed_in: bool = False
    may_review: bool = False
    owner: str = ""  # whose photos wait on this phone: visitors.owner


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document (RFC 9457) as a person reads it."""

    status: int
    code: str
    title: str
    detail: str
    request_id: str | None = None

    @property
    def again(self) -> bool:
        """Whether the same photo may succeed when it is sent again: the fault was not in the photo."""
        return self.log_in or self.code == "other_login" or self.status in (408, 429) or self.status >= 500

    @property
    def log_in(self) -> bool:
        """Whether a login ended while the page was open."""
        return self.code in ("key_missing", "key_invalid")


@dataclass(frozen=True, slots=True)
class Box:
    """One finding on the photo. Edges in percent of the photo's width and height, from its top left corner."""

    number: int
    mark: str
    title: str
    colour: str
    ink: str
    percent: int
    place: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """One class that was found: its mark in the boxes, its words, how often."""

    mark: str
    title: str
    colour: str
    ink: str
    count: int


@dataclass(frozen=True, slots=True)
class AdviceView:
    """Words of advice and who answers for them."""

    text: str
    author: str
    version: str
    reviewed: str | None


@dataclass(frozen=True, slots=True)
class AnswerView:
    """A stored answer, ready to be said. `percent` is None where no class was named."""

    id: str
    outcome: str
    title: str | None
    disease: str
    crop: str
    percent: int | None
    reliable: bool
    advice: AdviceView | None
    warnings: tuple[str, ...]
    boxes: tuple[Box, ...]
    legend: tuple[LegendEntry, ...]
    width: int
    height: int
    model: str
    version: str
    created_at: str | None
    user_id: str | None
    group: str | None
    location: str | None
    file_name: str | None


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One line in the list of recent answers."""

    id: str
    outcome: str
    title: str | None
    percent: int | None
    created_at: str
    user_id: str | None
    findings: int
    mark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPage:
    template: ClassVar[str] = "field.html"
    visitor: Visitor
    crop: str
    disease: str
    form_token: str
    max_bytes: int
    shrink_to_px: int
    shrink_quality: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPage:
    template: ClassVar[str] = "answer.html"
    visitor: Visitor
    answer: AnswerView
    words: WordsView
    with_photo: bool = True
    done: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCard:
    """The answer alone, for the script that sent the photo and still holds it (so no photo comes back)."""

    template: ClassVar[str] = "_answer.html"
    answer: AnswerView
    words: WordsView
    with_photo: bool = False
    done: str | None = None


@dataclass(frozen=True, slots=True)
class Stays:
    """What a deletion leaves (`photo` or `label`), why, and the snapshots that hold it."""

    what: str
    why: str
    snapshots: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedPage:
    template: ClassVar[str] = "deleted.html"
    visitor: Visitor
    stays: tuple[Stays, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersPage:
    template: ClassVar[str] = "answers.html"
    visitor: Visitor
    rows: tuple[AnswerRow, ...]
    total: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflinePage:
    """Shown where there is no net; kept by the service worker, so it knows nobody."""

    template: ClassVar[str] = "offline.html"
    visitor: Visitor


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPage:
    template: ClassVar[str] = "login.html"
    visitor: Visitor
    following: str
    problem: Problem | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemPage:
    template: ClassVar[str] = "problem.html"
    visitor: Visitor
    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemCard:
    """The problem alone, for the script that sent the photo."""

    template: ClassVar[str] = "_problem.html"
    problem: Problem


Context = (
    FieldPage
    | AnswerPage
    | AnswerCard
    | AnswersPage
    | DeletedPage
    | OfflinePage
    | LoginPage
    | ProblemPage
    | ProblemCard
    | WordsCard
)
