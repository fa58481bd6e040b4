"""What people say of an answer, and whether its photo may teach: the forms of the answer card. Judges nothing
(`learning.words.feedback` does), and shows nothing but the card's own part (`_words.html`)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from leafloop import metrics
from leafloop.access import Caller
from leafloop.crossing import in_thread
from leafloop.errors import NotFound, RequestInvalid
from leafloop.learning.words import feedback
from leafloop.learning.words.feedback import Author
from leafloop.learning.words.word import kind_of
from leafloop.live import once
from leafloop.live.parts import Parts
from leafloop.live.submission import Sender
from leafloop.storage import edits, predictions
from leafloop.storage import words as rows
from leafloop.storage.tables import Prediction
from leafloop.web import said, visitors
from leafloop.web.problems import PARTIAL
from leafloop.web.rendering import HEADERS, render
from leafloop.web.words_contexts import WordsCard, WordsView

router = APIRouter(include_in_schema=False)

Visit = Annotated[Caller, Depends(visitors.FIELD)]
Voice = Annotated[Caller, Depends(visitors.FEEDBACK)]
MAX_PART = 256 * 1024  # bytes of one field: two thousand boxes as JSON, and no book
MAX_KEY = 200  # characters of an Idempotency-Key; ours have 110


@router.post("/answers/{prediction_id}/words")
async def say(request: Request, caller: Voice, prediction_id: str) -> Response:
    """Right; wrong, and what it is; ask an expert; a remark. Raises what `feedback.submit` raises."""
    async with request.form(max_files=0, max_fields=8, max_part_size=MAX_PART) as form:
        sent = said.read(form)
    key = _key(request, sent.token, sent.fingerprint)
    await in_thread(request, _say, request.app.state.parts, caller, prediction_id, sent, key)
    return await _shown(request, caller, prediction_id, "said")


@router.post("/answers/{prediction_id}/words/undo")
async def take_back(request: Request, caller: Voice, prediction_id: str) -> Response:
    """The last word is taken back; the one before it, if any, counts again."""
    async with request.form(max_files=0, max_fields=8, max_part_size=MAX_PART) as form:
        token = str(form.get("form_token", ""))[:64]
    await in_thread(request, _undo, request.app.state.parts, caller, prediction_id, _key(request, token, "undo"))
    return await _shown(request, caller, prediction_id, "undone")


@router.post("/answers/{prediction_id}/consent")
async def consent(request: Request, caller: Visit, prediction_id: str) -> Response:
    """Whether the photo may teach the model; only who sent it says so. Said twice it is said once."""
    async with request.form(max_files=0, max_fields=8, max_part_size=MAX_PART) as form:
        choice = {"true": True, "false": False}.get(str(form.get("consent", "")))
    if choice is None:
        raise RequestInvalid("consent is neither 'true' nor 'false'.", field="consent")
    await in_thread(request, _consent, request.app.state.parts, caller, prediction_id, choice)
    return await _shown(request, caller, prediction_id, "consent")


def say_with_photo(parts: Parts, caller: Caller, prediction_id: str, sent: said.Sent, photo_key: str | None) -> None:
    """What came with a photo, said of its answer; once, however often the photo is sent. The outbox names it by the same key."""
    _say(parts, caller, prediction_id, sent, f"{photo_key}-word" if photo_key else None)


def view(session: Session, parts: Parts, caller: Caller, prediction: Prediction) -> WordsView:
    """What the card shows of an answer that this caller may see."""
    author = author_of(caller, prediction)
    now = feedback.current(session, prediction.id, author)
    history = rows.of_author(session, prediction.id, author.key_id, author.user_id)
    decided = rows.reply(session, prediction.id)
    return WordsView(
        id=prediction.id,
        outcome=prediction.outcome,
        marked=bool(prediction.bbox_data),
        said=None if now is None else said.said(now, parts.taxonomy, decided),
        before=tuple(said.said(row, parts.taxonomy) for row in history if row is not now),
        reply=None if decided is None else said.reply(decided, prediction, parts.taxonomy),
        choices=said.choices(parts.taxonomy, prediction.predicted_class_name),
        consent=predictions.photo_of(session, prediction).consent,
        own=prediction.key_id == caller.key_id,
        form_token=secrets.token_urlsafe(16),
        editor=said.editor(prediction, parts.taxonomy, now),
    )


def author_of(caller: Caller, prediction: Prediction) -> Author:
    """Who speaks: on one's own answer the person who sent the photo, on somebody else's the key alone."""
    own = prediction.key_id == caller.key_id
    return Author(caller.key_id, prediction.user_id if own else None)


def _say(parts: Parts, caller: Caller, prediction_id: str, sent: said.Sent, key: str | None) -> None:
    def work(session: Session, prediction: Prediction) -> None:
        author = author_of(caller, prediction)
        before = feedback.current(session, prediction.id, author)
        word = said.word(sent, prediction, before, rows.reply(session, prediction.id))
        feedback.submit(session, parts.taxonomy, prediction, author, word)
        kinds.append(kind_of(word))

    kinds: list[str] = []
    _once(parts, caller, prediction_id, key, sent.fingerprint, work)
    for kind in kinds[-1:]:  # none: it was said before, and is told once more
        metrics.FEEDBACK.labels(kind=kind).inc()


def _undo(parts: Parts, caller: Caller, prediction_id: str, key: str | None) -> None:
    def work(session: Session, prediction: Prediction) -> None:
        feedback.undo(session, prediction, author_of(caller, prediction))

    _once(parts, caller, prediction_id, key, "undo", work)
    metrics.FEEDBACK.labels(kind="undo").inc()


def _once(
    parts: Parts,
    caller: Caller,
    prediction_id: str,
    key: str | None,
    fingerprint: str,
    work: Callable[[Session, Prediction], None],
) -> None:
    """Do it in one transaction, once for one key: an impatient thumb says one thing, and takes one word back."""

    def do(claim: once.Claim | None) -> dict[str, object]:
        with parts.ledger.transaction() as session:
            work(session, visitors.own(predictions.get(session, prediction_id), caller))
            if claim is not None:
                claim.finish(session, {"prediction_id": prediction_id}, prediction_id)
        return {"prediction_id": prediction_id}

    if key is None:
        do(None)
    else:
        scope = Sender(caller.key_id, caller.role).scope
        told = hashlib.sha256(f"{prediction_id} {fingerprint}".encode()).hexdigest()
        once.answer_once(parts.ledger, scope, key, told, do)


def _consent(parts: Parts, caller: Caller, prediction_id: str, choice: bool) -> None:
    with parts.ledger.transaction() as session:
        prediction = visitors.own(predictions.get(session, prediction_id), caller)
        if prediction.key_id != caller.key_id:
            raise NotFound("There is no such photo of yours.")
        if predictions.photo_of(session, prediction).consent is not choice:
            edits.edit(session, prediction, {"consent": choice}, actor=caller.actor)


async def _shown(request: Request, caller: Caller, prediction_id: str, done: str) -> Response:
    """The part of the card for the page's script, else on to the answer's page."""
    if PARTIAL not in request.headers:
        return RedirectResponse(f"/answers/{prediction_id}#words", 303, HEADERS)
    words = await in_thread(request, _view, request.app.state.parts, caller, prediction_id)
    response = render(WordsCard(words=words, done=done))
    response.headers[PARTIAL] = "1"
    return response


def _view(parts: Parts, caller: Caller, prediction_id: str) -> WordsView:
    with parts.ledger.reading() as session:
        return view(session, parts, caller, visitors.own(predictions.get(session, prediction_id), caller))


def _key(request: Request, token: str, fingerprint: str) -> str | None:
    """The outbox names each word by a key; a plain form's token and what it says make one."""
    given = request.headers.get("idempotency-key")
    if given is not None:
        if not 0 < len(given) <= MAX_KEY or not given.isascii() or not given.isprintable():
            raise RequestInvalid(f"Idempotency-Key is 1 to {MAX_KEY} printable ASCII characters.")
        return given
    return f"{token}-{fingerprint}" if token else None
