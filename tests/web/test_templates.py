"""Each template is given what its context declares: no name more, none less, and it renders with every kind of answer."""

from __future__ import annotations

from dataclasses import fields, replace
from html.parser import HTMLParser
from typing import Any, get_args

import pytest
from jinja2 import UndefinedError, meta, nodes
from tests.web.test_answers import an_answer

from leafloop import taxonomy
from leafloop.web import answers, assets
from leafloop.web.contexts import (
    AnswerCard,
    AnswerPage,
    AnswersPage,
    Context,
    DeletedPage,
    FieldPage,
    LoginPage,
    OfflinePage,
    Problem,
    ProblemCard,
    ProblemPage,
    Stays,
    Visitor,
    WordsCard,
)
from leafloop.web.rendering import environment, html
from leafloop.web.review import class_list
from leafloop.web.review_contexts import (
    AgreementPage,
    DoubtfulPage,
    DoubtfulRow,
    ReviewContext,
    ReviewerRow,
    ReviewPage,
)
from leafloop.web.said import choices
from leafloop.web.words_contexts import Reply, Said, WordsView

BANANA = taxonomy.load()
GLOBAL = {"asset", "language", "languages", "problem_texts", "read_by", "gettext", "ngettext", "_"}
PROBLEM = Problem(503, "database_busy", "The database is busy", "Send it again in a moment.", "req-1")
ILL = answers.view(an_answer(), BANANA, answers.Beside(created_at="2026-11-24T08:00:00+00:00", group="plot 7"))
ROW = answers.row(an_answer(), BANANA, created_at="2026-11-24T08:00:00+00:00")
ME = Visitor(signed_in=True)
WORD = Said("class", "stage", None, 0, "A remark.", 4, True, "pending", "2026-11-24T08:00:00+00:00")
KINDS = ("right", "class", "nothing", "no_leaf", "boxes", "outcome", "wrong", "remark")


def said_of(said: Said | None = None, **changes: Any) -> WordsView:
    """What the card is given of words."""
    given: dict[str, Any] = {
        "id": "0b2f",
        "outcome": "diseased",
        "marked": True,
        "said": said,
        "before": (),
        "reply": None,
        "choices": choices(BANANA, BANANA.class_names[4]),
        "consent": None,
        "own": True,
        "form_token": "t",
        "editor": {"width": 400, "height": 200},
        **changes,
    }
    return WordsView(**given)


NOTHING_SAID = said_of()
REPLIES = [
    Reply(kind, title, outcome, 0, "Look again.", WORD.at)
    for kind, title, outcome in (
        ("agrees", None, "no_leaf"),
        ("differs", "stage", "diseased"),
        ("differs", None, "healthy"),
        ("unclear", None, None),
    )
]

CONTEXTS = (*get_args(Context), *get_args(ReviewContext))
HALF = {"reviewed": 8, "abstained": 1, "skipped": 2, "correct": 6, "accuracy": 0.86, "interval": [0.49, 0.97]}
NONE_YET = {"reviewed": 0, "abstained": 0, "skipped": 0, "correct": 0, "accuracy": None, "interval": None}
COMPARED = ReviewerRow(reviewer="Ines", compared=4, agreed=3, interval=[0.3, 0.95], box_f1=None)

EXAMPLES: list[Context | ReviewContext] = [
    ReviewPage(visitor=ME, classes=class_list(BANANA), lease_minutes=10, item_id="7", reason="asked"),
    ReviewPage(visitor=ME, classes=class_list(BANANA), lease_minutes=10, item_id=None, reason=None),
    AgreementPage(visitor=ME, pairs=4, agreed=3, kappa=0.6, box_f1=0.5, accuracy=HALF, rows=(COMPARED,)),
    AgreementPage(visitor=ME, pairs=0, agreed=0, kappa=None, box_f1=None, accuracy=NONE_YET, rows=()),
    DoubtfulPage(
        visitor=ME,
        classes=class_list(BANANA),
        rows=(
            DoubtfulRow("1", 3, BANANA.title(4), "diseased", 0.9, (("model", BANANA.title(2)), ("author", None)), "7"),
            DoubtfulRow("2", 1, None, "no_leaf", 0.8, (("twin", None), ("boxes", None)), None),
        ),
    ),
    DoubtfulPage(visitor=ME, classes=class_list(BANANA), rows=()),
    FieldPage(
        visitor=ME,
        crop="banana",
        disease="Black Sigatoka",
        form_token="t",
        max_bytes=9,
        shrink_to_px=1600,
        shrink_quality=0.85,
    ),
    AnswerPage(visitor=ME, answer=ILL, words=NOTHING_SAID),
    AnswerCard(answer=ILL, words=NOTHING_SAID),
    *(AnswerCard(answer=ILL, words=said_of(reply=reply)) for reply in REPLIES),
    *(
        WordsCard(
            words=said_of(replace(WORD, kind=kind, status=status), before=(replace(WORD, status="replaced"),)),
            done="said",
        )
        for kind, status in zip(KINDS, ("pending", "accepted", "overruled") * 3, strict=False)
    ),
    WordsCard(words=said_of(consent=False, outcome="uncertain"), done="undone"),
    WordsCard(words=said_of(own=False), done=None),
    DeletedPage(visitor=ME, stays=()),
    DeletedPage(
        visitor=ME, stays=(Stays("photo", "A snapshot holds it.", ("4f0c" * 16,)), Stays("label", "It, too.", ()))
    ),
    AnswersPage(visitor=ME, rows=(ROW,), total=41, page=2, pages=3),
    AnswersPage(visitor=ME, rows=(), total=0, page=1, pages=1),
    OfflinePage(visitor=Visitor()),
    LoginPage(visitor=Visitor(), following="/answers", problem=PROBLEM),
    ProblemPage(visitor=ME, problem=PROBLEM),
    ProblemCard(problem=PROBLEM),
]


def names_of(template: str) -> set[str]:
    """The names that a template and those that it extends or includes take from outside."""
    env = environment()
    assert env.loader is not None
    tree = env.parse(env.loader.get_source(env, template)[0])
    others = [name for name in meta.find_referenced_templates(tree) if name is not None]
    macros = {name for node in tree.find_all(nodes.FromImport) for name in node.names}
    return (meta.find_undeclared_variables(tree) - GLOBAL - macros).union(*map(names_of, others))


@pytest.mark.parametrize("kind", CONTEXTS, ids=lambda kind: kind.__name__)
def test_a_template_takes_exactly_the_names_of_its_context(kind: type[Context | ReviewContext]) -> None:
    assert names_of(kind.template) == {f.name for f in fields(kind)}


def test_every_context_has_an_example_here() -> None:
    assert {type(e) for e in EXAMPLES} == set(CONTEXTS)


@pytest.mark.parametrize("context", EXAMPLES, ids=lambda c: type(c).__name__)
def test_it_renders_balanced_and_without_inline_code(context: Context | ReviewContext) -> None:
    checker = Checker()
    checker.feed(html(context))
    assert checker.open == []
    assert checker.inline == []
    assert checker.foreign == []


def test_a_name_that_is_missing_is_an_error_and_no_blank() -> None:
    with pytest.raises(UndefinedError):
        environment().get_template("_problem.html").render()


def test_every_asset_that_a_template_names_exists() -> None:
    assert assets.url("leafloop.css").startswith("/static/")
    with pytest.raises(KeyError):
        assets.url("../pages.py")


class Checker(HTMLParser):
    """Unclosed elements, inline scripts, styles and handlers, and addresses of other hosts."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.inline: list[str] = []
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: dict[str, Any] = dict(attrs)
        code = tag == "script" and "src" not in given and given.get("type") != "application/json"
        if code or tag == "style" or "style" in given or any(name.startswith("on") for name in given):
            self.inline.append(self.get_starttag_text() or tag)
        self.foreign += [v for v in given.values() if v and v.startswith(("http:", "https:", "//"))]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<path/>` opens nothing."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
