"""The pages: ask about a photo, read the answer, look through earlier ones. Judges nothing (`live.answering` does) and says
nothing (the templates do)."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import RedirectResponse, Response

from leafloop.access import Caller
from leafloop.crossing import in_thread, refuse_photo_early
from leafloop.errors import NotFound, RequestInvalid
from leafloop.live import deleting
from leafloop.live.parts import Parts
from leafloop.live.submission import Sender, Submission
from leafloop.storage import predictions, replies
from leafloop.storage.tables import Photo, Prediction
from leafloop.vision.kept import EXTENSIONS
from leafloop.web import answers, assets, languages, login, review, said, thumbnails, visitors, words
from leafloop.web.contexts import AnswerCard, AnswerPage, AnswersPage, AnswerView, DeletedPage, FieldPage, Stays
from leafloop.web.problems import PARTIAL
from leafloop.web.rendering import HEADERS, render
from leafloop.web.words_contexts import WordsView

router = APIRouter(include_in_schema=False)
router.include_router(login.router)
router.include_router(review.router)
router.include_router(words.router)

# The slow-network mode: 1600 px leave a lesion of 1 cm on a 60 cm wide leaf 27 px, about what the detector needs to tell a stage;
# quality 0.85 keeps streaks' edges. A 12-megapixel photo of 4 MB becomes about 0.4 MB.
SHRINK_TO_PX, SHRINK_QUALITY = 1600, 0.85
PER_PAGE = 20
MAX_FIELD_BYTES = 8192  # the longest of our fields, the remark, has 2000 characters of 4 bytes at most
KEEP_PHOTO_S = 3600  # a browser may show the same picture again without asking, for as long as one looks through a list
KEEP_ASSET_S = 31_536_000  # a year: the hash in its path changes when the file does

Visit = Annotated[Caller, Depends(visitors.FIELD)]


@router.get("/")
async def field_page(request: Request, caller: Visit) -> Response:
    """Take or choose a photo."""
    parts: Parts = request.app.state.parts
    context = FieldPage(
        visitor=visitors.seen_as(caller),
        crop=parts.taxonomy.crop_in(languages.language()),
        disease=parts.taxonomy.disease_in(languages.language()),
        form_token=secrets.token_urlsafe(16),
        max_bytes=parts.settings.max_upload_bytes,
        shrink_to_px=SHRINK_TO_PX,
        shrink_quality=SHRINK_QUALITY,
    )
    return render(context)


@router.post("/photos")
async def send_photo(request: Request, caller: Annotated[Caller, Depends(visitors.PHOTO)]) -> Response:
    """Answer a photo: a card for the page's script, else on to the answer's page. Raises what `answering.answer` raises."""
    refuse_photo_early(request)
    parts: Parts = request.app.state.parts
    async with request.form(max_files=1, max_fields=12, max_part_size=MAX_FIELD_BYTES) as form:
        submission, word = await _submission(request, form), said.beside_photo(form)
    sender = Sender(caller.key_id, caller.role)
    body = await in_thread(request, parts.answering.answer, submission, sender)
    if word is not None:
        key = submission.idempotency_key
        await in_thread(request, words.say_with_photo, parts, caller, body["prediction_id"], word, key)
    if PARTIAL not in request.headers:
        return RedirectResponse(f"/answers/{body['prediction_id']}", 303, HEADERS)
    shown, words_said = await in_thread(request, _answer, parts, caller, body["prediction_id"])
    response = render(AnswerCard(answer=shown, words=words_said))
    response.headers[PARTIAL] = "1"
    return response


@router.get("/answers")
async def answers_page(request: Request, caller: Visit, page: Annotated[int, Query(ge=1, le=100_000)] = 1) -> Response:
    """This person's answers, newest first."""
    return render(await in_thread(request, _recent, request.app.state.parts, caller, page))


@router.get("/answers/{prediction_id}")
async def answer_page(request: Request, caller: Visit, prediction_id: str) -> Response:
    """One answer."""
    shown, words_said = await in_thread(request, _answer, request.app.state.parts, caller, prediction_id)
    return render(AnswerPage(visitor=visitors.seen_as(caller), answer=shown, words=words_said))


@router.post("/answers/{prediction_id}/delete")
async def delete_answer(request: Request, caller: Visit, prediction_id: str) -> Response:
    """The answer, its photo and what was said of it go, if they are this person's own; the page says what stays, and why."""
    parts: Parts = request.app.state.parts

    def work() -> list[dict[str, Any]]:
        return deleting.delete(parts, prediction_id, may=lambda row: row.key_id == caller.key_id, actor=caller.actor)

    kept = await in_thread(request, work)
    stays = tuple(Stays(one["what"], languages.gettext(one["why"]), tuple(one["snapshots"])) for one in kept)
    return render(DeletedPage(visitor=visitors.seen_as(caller), stays=stays))


@router.get("/answers/{prediction_id}/photo")
async def photo(request: Request, caller: Visit, prediction_id: str, size: str | None = None) -> Response:
    """The kept copy of the photo, or with `size` a smaller JPEG of it (`thumb`, `view`)."""
    if size is not None and size not in thumbnails.SIZES:
        raise NotFound
    data, media_type = await in_thread(request, _photo, request.app.state.parts, caller, prediction_id, size)
    name = f'inline; filename="{prediction_id}.{EXTENSIONS[media_type]}"'
    headers = {**HEADERS, "Cache-Control": f"private, max-age={KEEP_PHOTO_S}", "Content-Disposition": name}
    return Response(data, media_type=media_type, headers=headers)


@router.get("/static/{version}/{name}", dependencies=[Depends(visitors.PUBLIC)])
async def static(request: Request, version: str, name: str) -> Response:
    """A style sheet, script or icon. Under an old hash it is served too, but not to be kept: a page may outlive a release."""
    asset = assets.all_assets().get(name)
    if asset is None:
        raise NotFound
    kept = f"public, max-age={KEEP_ASSET_S}, immutable" if version == assets.version() else "no-cache"
    headers = {"Cache-Control": kept, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(asset.body, media_type=asset.media_type, headers=headers)
    return Response(asset.gzipped, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"})


async def _submission(request: Request, form: FormData) -> Submission:
    """What the form says. The script names each photo by a key; a plain form's token and what was sent with it make one."""
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        raise RequestInvalid("No photo came with the form. Take or choose a photo first.", field="file")
    fields: dict[str, Any] = {
        n: str(form[n]) for n in ("user_id", "user_location", "group", "captured_at") if n in form
    }
    submission = Submission(
        data=await file.read(),
        file_name=file.filename,
        consent={"true": True, "false": False}.get(
            str(form.get("consent", ""))
        ),  # what the phone remembers; else not asked
        idempotency_key=request.headers.get("idempotency-key"),
        request_id=request.state.request_id,
        source="page",
        **fields,
    )
    token = str(form.get("form_token", ""))[:64]
    if submission.idempotency_key is None and token:
        # Sent twice by an impatient thumb: one answer. Another photo from the same open form: another key.
        return replace(submission, idempotency_key=f"{token}-{submission.fingerprint}")
    return submission


def _answer(parts: Parts, caller: Caller, prediction_id: str) -> tuple[AnswerView, WordsView]:
    with parts.ledger.reading() as session:
        prediction = visitors.own(predictions.get(session, prediction_id), caller)
        kept = predictions.photo_of(session, prediction)
        shown = answers.view(prediction.answer, parts.taxonomy, _beside(prediction, kept))
        return shown, words.view(session, parts, caller, prediction)


def _photo(parts: Parts, caller: Caller, prediction_id: str, size: str | None) -> tuple[bytes, str]:
    with parts.ledger.reading() as session:
        kept = predictions.photo_of(session, visitors.own(predictions.get(session, prediction_id), caller))
        key, media_type = kept.stored_sha256, kept.media_type
    if size is None:
        return parts.blobs.get(key), media_type
    return thumbnails.smaller(parts.blobs, key, size), "image/jpeg"


def _recent(parts: Parts, caller: Caller, page: int) -> AnswersPage:
    whose = predictions.Filters(key_id=caller.key_id, keyless=caller.key_id is None)
    with parts.ledger.reading() as session:
        found = predictions.find(session, whose, limit=PER_PAGE, offset=(page - 1) * PER_PAGE)
        marks = replies.marks(session, [p.id for p in found.items], caller.key_id)
        rows = tuple(
            answers.row(p.answer, parts.taxonomy, created_at=p.timestamp.isoformat(), mark=marks.get(p.id))
            for p in found.items
        )
    pages = max(1, -(-found.total // PER_PAGE))
    return AnswersPage(visitor=visitors.seen_as(caller), rows=rows, total=found.total, page=page, pages=pages)


def _beside(prediction: Prediction, kept: Photo) -> answers.Beside:
    return answers.Beside(
        created_at=prediction.timestamp.isoformat(),
        group=kept.group,
        location=prediction.user_location,
        file_name=kept.file_name,
    )
