"""A context becomes HTML: the Jinja environment, the language, and the headers that every page carries."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from leafloop.web import assets, languages, refusals
from leafloop.web.contexts import Context
from leafloop.web.review_contexts import ReviewContext

# `blob:` is the preview of a photo that has not left the phone. All else comes from this origin, nothing is inline.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: that turns a form's Origin header into "null", which the cross-site check has to refuse.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Answers belong to one person: after logging out, "back" on a shared phone must not show them.
    "Cache-Control": "no-store",
}


@cache
def environment(language: str = languages.ENGLISH) -> Environment:
    """One Jinja environment a language: always escaped, a missing name is an error, every text passes through gettext."""
    env = Environment(
        loader=PackageLoader("leafloop.web"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.install_gettext_translations(languages.translations(language), newstyle=True)  # type: ignore[attr-defined]
    env.globals.update(
        asset=assets.url,
        language=language,
        languages=languages.LANGUAGES,
        read_by=languages.read_by,
        problem_texts=refusals.texts,
    )
    return env


def html(context: Context | ReviewContext) -> str:
    """The text of one template with exactly the fields of its context, in the language of the request under way."""
    names: dict[str, Any] = {f.name: getattr(context, f.name) for f in fields(context)}
    return environment(languages.language()).get_template(context.template).render(names)


def render(context: Context | ReviewContext, status: int = 200) -> HTMLResponse:
    """A whole response: HTML and the headers of every page."""
    return HTMLResponse(html(context), status, HEADERS)
