"""Hostile files and names at a running service and on the command line: the documented word for each, and nothing else happens.

Nothing of a refused file is kept, nothing that a file hides is ever given out, and the service answers as before. The files made
in code are always tried; those of ../shared, with their own list of what must come, where they are.
"""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests import hostile
from tests.servers import wait_until
from tests.service import Service
from tests.tiny_models import tiny_bundle

PREDICT, KEPT = "/api/v1/predict", "/api/v1/db/predictions"
STATUS = {"": 200, "unsupported_type": 415, "not_an_image": 415, "too_many_pixels": 413}  # every other code: 422
SECRETS = (b"CANARY", b"Jane Canary", b"LeafloopTestCam", b"evil.sh", b"alert(1)")
# What expected.csv leaves open, decided: these formats are refused with words that say what to send.
DECIDED = {"photo.bmp": "unsupported_type"}


@dataclass(frozen=True)
class File:
    name: str
    data: bytes
    code: str  # of the refusal; empty for a photo that is answered

    @property
    def status(self) -> int:
        return STATUS.get(self.code, 422)


def made_here() -> list[File]:
    return [File(f"{n:02}.jpg", case.make(), case.code or "") for n, case in enumerate(hostile.CASES)]


def of_shared(folder: Path) -> list[File]:
    rows = csv.DictReader((folder / "expected.csv").read_text().splitlines())
    return [
        File(row["file"], (folder / row["file"]).read_bytes(), DECIDED.get(row["file"], row["error_kind"]))
        for row in rows
    ]


@pytest.fixture(scope="module", params=["made here", "shared"])
def files(request: pytest.FixtureRequest) -> list[File]:
    if request.param == "made here":
        return made_here()
    return of_shared(request.getfixturevalue("shared") / "data/nasty")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With a tiny model, since no answer matters here, and no limit on how often one may ask."""
    folder, often = tmp_path_factory.mktemp("hostile"), "1000000/minute"
    tiny_bundle(folder / "tiny")
    service = Service(folder / "home", {"LEAFLOOP_RATE_LIMIT": often, "LEAFLOOP_PREDICT_RATE_LIMIT": often})
    service.bring(folder / "tiny")
    service.start()
    yield service
    service.stop()


def send(service: Service, file: File, name: str = "leaf.jpg") -> httpx.Response:
    return service.http.post(PREDICT, files={"file": (name, file.data)})


def kept(service: Service) -> tuple[int, set[str]]:
    """Rows of answers, and objects that are photos (a model's parts are older than the first photo)."""
    with sqlite3.connect(service.home / "leafloop.db") as ledger:
        (rows,) = ledger.execute("select count(*) from predictions").fetchone()
        photos = {key for (key,) in ledger.execute("select stored_sha256 from photos")}
    return rows, photos


def everything_written(service: Service) -> dict[Path, bytes]:
    """Every file of the home but the model's own, and the log."""
    model = {path for path in service.home.rglob("*") if "models" in path.parts or "cache" in path.parts}
    found = [p for p in service.home.rglob("*") if p.is_file() and p not in model]
    return {path: path.read_bytes() for path in [*found, service.home.parent / "service.log"]}


def secrets_in(data: bytes) -> list[bytes]:
    return [secret for secret in SECRETS if secret in data]


@contextmanager
def answering_throughout(service: Service) -> Iterator[None]:
    """Somebody asks for the service's health all the while, and always gets it."""
    said: list[int] = []
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=service.http.base_url, timeout=20) as client:
            while not over.is_set():
                said.append(client.get("/health").status_code)
                over.wait(0.05)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join(30)
    assert set(said) == {200}


def test_every_file_gets_its_documented_answer_over_http_and_a_refused_one_leaves_nothing(
    running: Service, files: list[File]
) -> None:
    rows, photos = kept(running)
    with answering_throughout(running):
        answers = {file.name: send(running, file) for file in files}
    assert {name: (a.status_code, a.json().get("code", "")) for name, a in answers.items()} == {
        file.name: (file.status, file.code) for file in files
    }
    taken = [answers[file.name].json()["prediction_id"] for file in files if not file.code]
    rows_now, photos_now = kept(running)
    assert rows_now - rows == len(taken)
    assert len(photos_now - photos) <= len(taken)
    objects = {p.name for p in (running.home / "blobs").rglob("*") if p.is_file()}
    with sqlite3.connect(running.home / "leafloop.db") as ledger:
        model = {
            name
            for (text,) in ledger.execute("select manifest from models")
            for name in re.findall(r"[0-9a-f]{64}", text)
        }
        model |= {key for (key,) in ledger.execute("select bundle_hash from models")}
    assert objects - model == photos_now


def test_nothing_that_a_file_hides_is_ever_given_out_or_written(running: Service, files: list[File]) -> None:
    for file in files:
        answer = send(running, file)
        assert not secrets_in(answer.content), file.name
        if file.code:
            continue
        one = answer.json()["prediction_id"]
        places = [f"{KEPT}/{one}/photo", f"/answers/{one}/photo", f"/answers/{one}/photo?size=view"]
        for place in places:
            served = running.http.get(place)
            assert served.headers["content-type"] in ("image/jpeg", "image/png", "image/webp"), file.name
            assert served.headers["x-content-type-options"] == "nosniff"
            assert not secrets_in(served.content), file.name
        for page in (f"{KEPT}/{one}", f"/answers/{one}"):
            assert not secrets_in(running.http.get(page).content), file.name
    assert {path: found for path, data in everything_written(running).items() if (found := secrets_in(data))} == {}


def test_every_file_gets_the_same_word_on_the_command_line(running: Service, files: list[File], tmp_path: Path) -> None:
    for file in files:
        (tmp_path / file.name).write_bytes(file.data)
    paths = [str(tmp_path / file.name) for file in files]
    done = running.run("predict", *paths, "--json")
    said = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 1  # some were refused
    assert "Traceback" not in done.err
    assert not secrets_in((done.out + done.err).encode())
    for file, path, line in zip(files, paths, said, strict=True):
        assert line["path"] == path
        if file.code:
            error = line["error"]
            assert (error["code"], error["status"]) == (file.code, file.status), file.name
            assert error["detail"].endswith(".")
            assert set(line) == {"path", "error"}
        else:
            assert line["success"] is True, file.name


# Names

NAMES = [
    "../../etc/passwd.jpg", "..\\..\\win.ini", "/etc/cron.d/leaf.jpg", "leaf\x00.jpg", "", ".", "..", ".htaccess", "CON.jpg",
    "leaf\u202egpj.exe", "leaf.jpg.html", "leaf;rm -rf ~.jpg", "leaf\r\nSet-Cookie: a=b.jpg", "leaf\u2028forged", "\x1b[2J.jpg",
    "<img src=x onerror=alert(1)>.jpg", "' OR 1=1 --.jpg", '"; filename="x.html', "%2e%2e%2fleaf.jpg", "a" * 300, "🍌.jpg",
]  # fmt: skip


@pytest.fixture(scope="module", params=["made here", "shared"])
def names(request: pytest.FixtureRequest) -> list[str]:
    if request.param == "made here":
        return NAMES
    told = json.loads((request.getfixturevalue("shared") / "data/nasty/names.json").read_text())
    return [case["name"] for case in told["cases"]]


def test_a_name_is_a_label_and_never_a_path_a_header_a_line_or_a_tag(running: Service, names: list[str]) -> None:
    photo = File("leaf", hostile.jpeg(), "")
    outside = set(running.home.parent.iterdir())
    for name in names:
        answer = send(running, photo, name)
        assert answer.status_code == 200, name
        assert "set-cookie" not in answer.headers
        one = answer.json()["prediction_id"]
        page = running.http.get(f"/answers/{one}", headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert "<img src=x" not in page.text
        served = running.http.get(f"{KEPT}/{one}/photo")
        assert served.headers["content-disposition"] == f'inline; filename="{one}.jpg"'
        assert served.headers["content-type"] == "image/jpeg"
    assert set(running.home.parent.iterdir()) == outside
    lines = running.log().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert "Set-Cookie" not in running.log()


def test_a_name_in_another_field_is_taken_or_refused_with_words(running: Service, names: list[str]) -> None:
    for field in ("user_id", "group", "user_location"):
        for name in names:
            answer = running.http.post(PREDICT, files={"file": hostile.jpeg()}, data={field: name})
            assert (answer.status_code, answer.json().get("field")) in ((200, None), (422, field)), name


def test_a_file_of_any_name_is_answered_on_the_command_line(running: Service, names: list[str], tmp_path: Path) -> None:
    there = [
        tmp_path / name for name in names if 0 < len(name) <= 200 and not {"/", "\0"} & set(name) and name.strip(".")
    ]
    for path in there:
        path.write_bytes(hostile.jpeg())
    done = running.run("predict", *map(str, there), "--json")
    assert done.code == 0, done.err
    assert [json.loads(line)["path"] for line in done.out.split("\n") if line] == [str(path) for path in there]


# Memory and files


def memory_of(pid: int) -> int:
    """Bytes of a process and its children."""
    threads = list(Path(f"/proc/{pid}/task").iterdir())  # decoders are children of the thread that started them
    children = [child for thread in threads for child in (thread / "children").read_text().split()]
    return sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) * 4096 for p in [str(pid), *children])


def loose_handles(pid: int) -> list[str]:
    """What a process holds open, without its pools, which may grow to their limits at any time.

    These are connections to the ledger, and decoders: each has a desk of shared memory and one socket.
    """
    held = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = [name for name in held if name.startswith("socket:")]
    decoders = sum("desk" in name for name in held)
    others = [name for name in held if "leafloop.db" not in name and "desk" not in name and name not in sockets]
    return others + sockets[decoders:]


def wake_all_decoders(service: Service) -> None:
    """By more photos at once than there are decoders: what they weigh is then the same before and after."""
    with ThreadPoolExecutor(8) as callers, httpx.Client(base_url=service.http.base_url, timeout=60) as client:
        answers = callers.map(lambda _: client.post(PREDICT, files={"file": hostile.jpeg()}), range(32))
        assert {answer.status_code for answer in answers} <= {200, 503}  # 503: more at once than is taken


@pytest.mark.slow
def test_hostile_files_again_and_again_cost_neither_memory_nor_files(running: Service) -> None:
    """A photo of these is half a megabyte of pixels: one that is kept from each would show."""
    files = made_here()
    for _ in range(2):  # what is made once and stays: threads, connections, caches
        for file in files:
            send(running, file)
    pid = running.process.pid
    wake_all_decoders(running)
    memory, handles = memory_of(pid), loose_handles(pid)
    for _ in range(4):
        for file in files:
            assert send(running, file).status_code == file.status
    wake_all_decoders(running)
    wait_until(lambda: len(loose_handles(pid)) <= len(handles) + 2, "a service with no more open than before")
    assert memory_of(pid) - memory < 40 * 1024 * 1024
