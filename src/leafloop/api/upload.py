"""Reads a photo and the words with it out of a request, a form or the photo's bytes alone. Judges no pixel.

A form's field `file` is the photo; `user_id`, `user_location`, `group`, `captured_at` and `consent` are fields of the
form, or query parameters; a field of the form goes before a parameter of the same name. Other small fields are passed
over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from leafloop.errors import RequestInvalid, TooManyBytes, UnsupportedType

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PHOTO = "file"
FIELDS = ("user_id", "user_location", "group", "captured_at", "consent")
MAX_PARTS = 12  # the photo, the five fields above, and room for what a client adds on its own
MAX_FIELD_BYTES = 4096  # the longest field of ours has 200 characters
CONSENT = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Upload:
    """What came: the photo's bytes, its name as the sender calls it, and the fields that were given."""

    data: bytes
    file_name: str | None
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def consent(self) -> bool | None:
        """May the photo be trained on; None where nothing was said. Raises `RequestInvalid`."""
        said = self.fields.get("consent", "").strip().lower()
        if said and said not in CONSENT:
            raise RequestInvalid(
                "consent is neither 'true' nor 'false'. Send one of the two, or leave it out.", field="consent"
            )
        return CONSENT.get(said)


async def read(request: Request, max_bytes: int) -> Upload:
    """Read the whole request.

    Raises `UnsupportedType` (neither a form nor a photo), `RequestInvalid` (broken form, no photo, two of them, too
    many or too long fields), `TooManyBytes`, `Overloaded`.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    said = _parameters(request)
    if kind == b"multipart/form-data":
        form = await _read_form(request, options.get(b"boundary", b""), max_bytes)
        return Upload(form.photo(), form.file_name, {**said, **form.fields()})
    if kind.startswith(b"image/") or kind == b"application/octet-stream":
        return Upload(await _read_raw(request, max_bytes), None, said)
    raise UnsupportedType(
        "The body is neither a form nor a photo. Send multipart/form-data with the photo in the field 'file', or the "
        "photo's bytes with their own Content-Type (image/jpeg, image/png, image/webp, image/heic)."
    )


def _parameters(request: Request) -> dict[str, str]:
    twice = [name for name in FIELDS if len(request.query_params.getlist(name)) > 1]
    if twice:
        raise RequestInvalid(f"{twice[0]} is given twice. Send it once.", field=twice[0])
    return {name: request.query_params[name] for name in FIELDS if name in request.query_params}


async def _read_raw(request: Request, max_bytes: int) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(data)


async def _read_form(request: Request, boundary: bytes, max_bytes: int) -> _Form:
    form = _Form(max_bytes)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in request.stream():
            parser.write(chunk)
        parser.finalize()
    except FormParserError:
        raise RequestInvalid("The form is broken. Send multipart/form-data as an HTTP library makes it.") from None
    if not form.ended:
        raise RequestInvalid(
            "The form breaks off before its end. The transfer may have been cut: send the photo again."
        )
    return form


def _too_large(max_bytes: int) -> TooManyBytes:
    taken = f"{max_bytes // (1024 * 1024)} MiB"
    return TooManyBytes(
        f"The photo is larger than the {taken} that are taken here. Send it smaller, or at a lower JPEG quality.",
        max_bytes=max_bytes,
    )


@dataclass(slots=True)
class _Part:
    name: str
    file_name: str | None
    data: bytearray = field(default_factory=bytearray)


class _Form:
    """Collects a form's parts while they arrive, and refuses as soon as it can."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: dict[str, _Part] = {}
        self._count = 0
        self._part: _Part | None = None
        self._header, self._value, self._disposition = bytearray(), bytearray(), b""
        self.ended = False

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._named,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    @property
    def file_name(self) -> str | None:
        return self._parts[PHOTO].file_name

    def photo(self) -> bytes:
        if PHOTO not in self._parts:
            others = ", ".join(f"'{name[:32]}'" for name in self._parts) or "none"
            raise RequestInvalid(
                f"The form has no field 'file': that is where the photo belongs. Its fields: {others}.", field=PHOTO
            )
        return bytes(self._parts[PHOTO].data)

    def fields(self) -> dict[str, str]:
        return {name: self._text(name) for name in FIELDS if name in self._parts}

    def _text(self, name: str) -> str:
        try:
            return self._parts[name].data.decode()
        except UnicodeDecodeError:
            raise RequestInvalid(f"{name} is not UTF-8 text. Send it in UTF-8.", field=name) from None

    def _begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise RequestInvalid(f"The form has more than {MAX_PARTS} fields. Send the photo and what '/docs' names.")
        self._part, self._disposition = None, b""

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _named(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise RequestInvalid("A part of the form has no name. Name each: the photo is 'file'.")
        name = options[b"name"].decode("utf-8", "replace")
        if name in self._parts and name in (PHOTO, *FIELDS):
            raise RequestInvalid(f"{name} is given twice: send one photo a request, and each field once.", field=name)
        file_name = options[b"filename"].decode("utf-8", "replace") if b"filename" in options else None
        self._part = self._parts[name] = _Part(name, file_name)

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part is None:
            return
        part.data += memoryview(data)[start:end]
        if part.name == PHOTO and len(part.data) > self._max_bytes:
            raise _too_large(self._max_bytes)
        if part.name != PHOTO and len(part.data) > MAX_FIELD_BYTES:
            raise RequestInvalid(
                f"The field '{part.name[:32]}' is longer than {MAX_FIELD_BYTES} bytes. A photo belongs into 'file'.",
                field=part.name[:32],
            )

    def _end(self) -> None:
        self.ended = True
