"""tus 1.0 (https://tus.io/protocols/resumable-upload), its core, creation and termination, over `live.uploads`: requests in,
answers out. Shared by API and pages, who say who may; decides nothing about photos.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from leafloop.access import Caller
from leafloop.crossing import in_thread
from leafloop.errors import RequestInvalid, Stopping, TusVersionUnknown, UnsupportedType
from leafloop.live.submission import Sender, Submission
from leafloop.live.uploads import Progress, Uploads

VERSION = "1.0.0"
EXTENSIONS = "creation,termination"
PIECE_TYPE = "application/offset+octet-stream"
ASKED = ("Tus-Resumable", "Upload-Length", "Upload-Metadata", "Upload-Offset")  # headers
ANSWERED = (*ASKED, "Location", "Tus-Version", "Tus-Extension", "Tus-Max-Size")
IN_EVERY_ANSWER = {"Tus-Resumable": VERSION}
PREFIXES = ("/api/v1/uploads", "/uploads")  # where it is spoken
# What the metadata may say, and its name with us. Other keys (a client's own, such as `filetype`) are passed over.
_NAMES = {name: name for name in ("user_id", "user_location", "group", "captured_at")} | {"filename": "file_name"}
_CONSENT = {"": None, "true": True, "false": False}
_NUMBER = re.compile(r"0|[1-9]\d{0,14}", re.ASCII)  # bytes, up to a petabyte


def offers(request: Request) -> Response:
    """OPTIONS: what is spoken here."""
    said = {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": str(_uploads(request).max_bytes)}
    return Response(status_code=204, headers={**IN_EVERY_ANSWER, **said})


async def begin(request: Request, caller: Caller, *, at: str, source: str) -> Response:
    """POST: a new upload, or the one that this Idempotency-Key began. `at` is where uploads have their addresses."""
    _refuse_other_version(request)
    if request.app.state.stopping:
        raise Stopping
    said = Submission(
        data=b"",
        idempotency_key=request.headers.get("idempotency-key"),
        source=source,
        **_metadata(request.headers.get("upload-metadata", "")),
    )
    length = _number(request, "Upload-Length")
    made = await in_thread(request, _uploads(request).begin, said, length, _sender(caller))
    # Its offset too: who begins again after a stop need not ask for it.
    headers = {**IN_EVERY_ANSWER, "Location": f"{at}/{made.id}", "Upload-Offset": str(made.offset)}
    return Response(status_code=201, headers=headers)


async def look(request: Request, caller: Caller, upload_id: str) -> Response:
    """HEAD: how many bytes are safe."""
    _refuse_other_version(request)
    found = await in_thread(request, _uploads(request).look, upload_id, _sender(caller))
    headers = {"Upload-Offset": str(found.offset), "Upload-Length": str(found.length), "Cache-Control": "no-store"}
    return Response(status_code=200, headers={**IN_EVERY_ANSWER, **headers, **_metadata_header(found)})


async def take(request: Request, caller: Caller, upload_id: str) -> Response:
    """PATCH: a piece. With the last one the photo is answered before this returns, if that can be done now."""
    _refuse_other_version(request)
    if request.headers.get("content-type", "").lower() != PIECE_TYPE:
        raise UnsupportedType(f"A piece has the Content-Type {PIECE_TYPE}.")
    offset, sender = _number(request, "Upload-Offset"), _sender(caller)
    piece = await request.body()  # `api.body` holds its bound
    now_at = await in_thread(request, _uploads(request).take, upload_id, offset, piece, sender)
    await in_thread(request, _uploads(request).answer_if_whole, now_at, sender, request_id=request.state.request_id)
    return Response(status_code=204, headers={**IN_EVERY_ANSWER, "Upload-Offset": str(now_at.offset)})


async def give_up(request: Request, caller: Caller, upload_id: str) -> Response:
    """DELETE: the upload and its pieces go."""
    _refuse_other_version(request)
    await in_thread(request, _uploads(request).give_up, upload_id, _sender(caller))
    return Response(status_code=204, headers=IN_EVERY_ANSWER)


async def answer(request: Request, caller: Caller, upload_id: str) -> dict[str, Any]:
    """The answer to a photo that came whole. Raises what the photo was refused with."""
    work, sender = _uploads(request).answer, _sender(caller)
    return await in_thread(request, work, upload_id, sender, request_id=request.state.request_id)


def is_spoken_at(path: str) -> bool:
    return path.startswith(PREFIXES)


def _uploads(request: Request) -> Uploads:
    uploads: Uploads = request.app.state.parts.uploads
    return uploads


def _sender(caller: Caller) -> Sender:
    return Sender(caller.key_id, caller.role)


def _refuse_other_version(request: Request) -> None:
    """A header that is not there is no other version: plain HTTP clients need not know the protocol's name."""
    if request.headers.get("tus-resumable", VERSION) != VERSION:
        raise TusVersionUnknown


def _number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not _NUMBER.fullmatch(text):
        raise RequestInvalid(f"{header} is missing, or is no whole number of bytes.", field=header)
    return int(text)


def _metadata(header: str) -> dict[str, Any]:
    """`key base64,key base64`, as fields of a `Submission`."""
    found: dict[str, Any] = {}
    for pair in filter(None, map(str.strip, header.split(","))):
        key, _, value = pair.partition(" ")
        name = _NAMES.get(key, key)
        if name in found:
            raise RequestInvalid(f"Upload-Metadata says {key[:32]} twice.", field=key[:32])
        found[name] = _text(key, value)
    consent = str(found.get("consent", "")).strip().lower()
    if consent not in _CONSENT:
        raise RequestInvalid("consent is neither 'true' nor 'false'.", field="consent")
    return {name: found[name] for name in _NAMES.values() if name in found} | {"consent": _CONSENT[consent]}


def _text(key: str, value: str) -> str:
    try:
        return base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise RequestInvalid(f"Upload-Metadata: {key[:32]} is no UTF-8 text in Base64.", field=key[:32]) from None


def _metadata_header(found: Progress) -> Mapping[str, str]:
    """What was said with the upload, as the protocol wants it back."""
    names = {ours: theirs for theirs, ours in _NAMES.items()}
    said = {
        names.get(name, name): value for name, value in found.said.items() if name != "source" and value is not None
    }
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in said.items()}
    pairs = [f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in texts.items()]
    return {"Upload-Metadata": ",".join(pairs)} if pairs else {}
