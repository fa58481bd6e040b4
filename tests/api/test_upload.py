"""Reading a photo out of a request: what is taken, and what is refused before anything is parsed further."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.api.serving import client_of, raw

from leafloop import settings
from leafloop.api import body, problems, upload
from leafloop.errors import LeafloopError

ONE_MIB = 1024 * 1024
PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 40

# Names of a kind that cameras, chat programs and attackers give. They are labels: all must pass, none may become a
# path.
HOSTILE_NAMES = (
    "../../etc/passwd",
    "C:\\photos\\leaf.jpg",
    "leaf\x00.jpg",
    "leaf\u202egpj.exe",
    "葉の写真.jpg",
    "e\u0301" * 90 + ".jpg",
    "<script>alert(1)</script>.jpg",
    "'; DROP TABLE predictions; --.jpg",
    "leaf.jpg; filename=other.jpg",
    " .jpg",
    ".",
    "CON",
    "leaf.tar.gz.jpg",
    "🍌" * 60,
)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """Only the reader and the bound around it: what was read comes back."""

    async def read(request: Request) -> JSONResponse:
        try:
            sent = await upload.read(request, ONE_MIB)
            said = {
                "bytes": len(sent.data),
                "name": sent.file_name,
                "fields": dict(sent.fields),
                "consent": sent.consent,
            }
            return JSONResponse(said)
        except LeafloopError as error:
            return problems.of_error(error).response(request.scope)

    app = Starlette(routes=[Route("/", read, methods=["POST"])])
    app.add_middleware(
        body.BoundedBody, settings=settings.load({"LEAFLOOP_MAX_UPLOAD_BYTES": str(ONE_MIB)}, dotenv=None)
    )
    with client_of(app) as client:
        yield client


def form(*parts: tuple[str, str | None, bytes], boundary: str = "cut", end: bool = True) -> dict[str, Any]:
    """A form put together by hand, as no library would."""
    pieces = []
    for name, file_name, data in parts:
        named = "" if file_name is None else f'; filename="{file_name}"'
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        pieces.append(head.encode() + data + b"\r\n")
    content = b"".join(pieces) + (f"--{boundary}--\r\n".encode() if end else b"")
    return {"content": content, "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"}}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_form_gives_the_photo_and_its_fields(client: httpx.Client) -> None:
    fields = {"user_id": "maria", "group": "plot 7", "consent": "true", "device": "a field that is not ours"}
    said = client.post("/", files={"file": ("leaf.jpg", PHOTO)}, data=fields).json()
    assert said == {
        "bytes": len(PHOTO),
        "name": "leaf.jpg",
        "fields": {"user_id": "maria", "group": "plot 7", "consent": "true"},
        "consent": True,
    }


def test_a_photo_may_be_the_whole_body_with_its_fields_as_parameters(client: httpx.Client) -> None:
    for kind in ("image/jpeg", "image/heic", "application/octet-stream"):
        said = client.post("/?user_id=maria&consent=no", content=PHOTO, headers={"Content-Type": kind}).json()
        assert said == {
            "bytes": len(PHOTO),
            "name": None,
            "fields": {"user_id": "maria", "consent": "no"},
            "consent": False,
        }


def test_a_field_of_the_form_goes_before_a_parameter(client: httpx.Client) -> None:
    said = client.post("/?user_id=query&group=q", files={"file": PHOTO}, data={"user_id": "form"}).json()
    assert said["fields"] == {"user_id": "form", "group": "q"}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_strange_file_name_is_a_label_and_no_more(client: httpx.Client, name: str) -> None:
    answer = client.post("/", files={"file": (name, PHOTO)})
    assert answer.status_code == 200
    assert answer.json()["bytes"] == len(PHOTO)


def test_a_photo_without_a_file_name_is_taken(client: httpx.Client) -> None:
    assert client.post("/", **form(("file", None, PHOTO))).json()["bytes"] == len(PHOTO)


def test_a_form_without_file_names_what_it_had(client: httpx.Client) -> None:
    answer = client.post("/", files={"image": ("leaf.jpg", b"small")})
    assert code(answer) == (422, "request_invalid")
    assert "'image'" in answer.json()["detail"]
    assert answer.json()["field"] == "file"


def test_a_photo_in_the_wrong_field_is_refused_before_it_has_arrived(client: httpx.Client) -> None:
    answer = client.post("/", files={"image": ("leaf.jpg", PHOTO)})
    assert code(answer) == (422, "request_invalid")
    assert "longer than 4096 bytes" in answer.json()["detail"]


@pytest.mark.parametrize(
    "request_",
    [
        form(("file", "a.jpg", PHOTO), ("file", "b.jpg", PHOTO)),
        form(("file", "a.jpg", PHOTO), ("user_id", None, b"a"), ("user_id", None, b"b")),
        form(("file", "a.jpg", PHOTO), *((f"f{i}", None, b"") for i in range(12))),
        form(("file", "a.jpg", PHOTO), ("user_id", None, b"\xff\xfe")),
        form(("file", "a.jpg", PHOTO), ("user_id", None, b"x" * 5000)),
        form(("file", "a.jpg", PHOTO), ("consent", None, b"perhaps")),
        form(("file", "a.jpg", PHOTO), end=False),
        form(end=False),
        form(),
        {"content": b"no boundary here", "headers": {"Content-Type": "multipart/form-data; boundary=cut"}},
        {"content": b"--cut\r\n\r\n", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"--cut\r\n" + b"a: " + b"b" * 100_000, "headers": {"Content-Type": "multipart/form-data; boundary=cut"}},
        {"content": b"--cut\r\nX: y\r\n\r\nno name\r\n--cut--", "headers": {"Content-Type": "multipart/form-data; boundary=cut"}},
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=" + "b" * 500}},
    ],
    ids=[
        "two photos", "a field twice", "too many fields", "not UTF-8", "a long field", "neither yes nor no", "cut off",
        "no form at all", "no parts", "no boundary in it", "no boundary named", "an endless header", "a part without a name",
        "an endless boundary",
    ],
)  # fmt: skip
def test_a_broken_form_is_refused_with_words(client: httpx.Client, request_: dict[str, Any]) -> None:
    answer = client.post("/", **request_)
    assert code(answer) == (422, "request_invalid")
    assert answer.json()["detail"].endswith(".")


@pytest.mark.parametrize("cut_at", range(1, 100, 7))
def test_a_form_that_breaks_off_anywhere_is_refused(client: httpx.Client, cut_at: int) -> None:
    whole = form(("file", "a.jpg", b"photo"))
    answer = client.post("/", content=whole["content"][: -min(cut_at, 90)], headers=whole["headers"])
    # the last line break after the closing boundary is nobody's loss
    assert answer.status_code == (200 if cut_at <= 2 else 422)


def test_a_parameter_given_twice_is_refused(client: httpx.Client) -> None:
    answer = client.post("/?user_id=a&user_id=b", content=PHOTO, headers={"Content-Type": "image/jpeg"})
    assert code(answer) == (422, "request_invalid")


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_no_photo_is_refused_by_its_type(client: httpx.Client, kind: str) -> None:
    answer = client.post("/", content=b"{}", headers={"Content-Type": kind} if kind else {})
    assert code(answer) == (415, "unsupported_type")


def test_a_photo_over_the_limit_is_refused_in_a_form_and_alone(client: httpx.Client) -> None:
    large = bytes(ONE_MIB + 1)
    for answer in (
        client.post("/", files={"file": large}),
        client.post("/", content=large, headers={"Content-Type": "image/jpeg"}),
    ):
        assert code(answer) == (413, "too_many_bytes")
        assert "1 MiB" in answer.json()["detail"]


def test_a_photo_at_the_limit_is_taken(client: httpx.Client) -> None:
    assert client.post("/", files={"file": bytes(ONE_MIB)}).json()["bytes"] == ONE_MIB


def test_what_is_declared_too_large_is_refused_unread(client: httpx.Client) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 1000000000000\r\n"
    answer = raw(str(client.base_url).rstrip("/"), head + b"Expect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")  # at once: no "100 Continue" came before it
    assert b"too_many_bytes" in answer


def test_an_endless_body_without_a_length_is_refused_as_it_comes(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(3):
            yield bytes(ONE_MIB)

    answer = client.post("/", content=endless(), headers={"Content-Type": "image/jpeg"})
    assert code(answer) == (413, "too_many_bytes")


def test_a_refusal_arrives_although_the_photo_is_still_being_sent(client: httpx.Client) -> None:
    for _ in range(5):  # without reading on, some of these would end in a reset connection
        answer = client.post("/", content=bytes(2 * ONE_MIB), headers={"Content-Type": "image/jpeg"})
        assert code(answer) == (413, "too_many_bytes")


def test_bodies_together_are_bounded_and_given_back() -> None:
    memory = body.Memory(
        settings.load({"LEAFLOOP_MAX_UPLOAD_BYTES": str(ONE_MIB), "LEAFLOOP_MAX_WAITING": "2"}, dotenv=None)
    )
    memory.take(2 * ONE_MIB)
    with pytest.raises(LeafloopError) as refused:
        memory.take(1)
    assert refused.value.code == "overloaded"
    memory.give_back(2 * ONE_MIB)
    memory.take(1)
