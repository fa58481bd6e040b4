"""A decoder that crashes, hangs, wants too much memory or is killed costs that photo at most, and the next one is read."""

from __future__ import annotations

import io
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests import hostile

from leafloop.errors import Overloaded, PhotoError, TooManyPixels, Unavailable, Undecodable
from leafloop.vision import decoder_child
from leafloop.vision import decoders as decoders_module
from leafloop.vision.decoders import Decoders
from leafloop.vision.photo import Photo, PhotoLimits, read_upload

LIMITS = PhotoLimits()
WAIT_S = 30.0


_others: set[int] = set()


@pytest.fixture(autouse=True)
def _only_own_children() -> None:
    _others.clear()
    _others.update(children())


def children() -> list[int]:
    """The decoder processes that this test started, by what the system says."""
    started = [
        int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()
    ]
    return [
        pid for pid in started if pid not in _others and b"decoder_child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def read(decoders: Decoders, data: bytes) -> Photo:
    return decoders.read(data, decoders.check(data))


@pytest.fixture(scope="module")
def shared() -> Iterator[Decoders]:
    with Decoders(LIMITS) as made:
        yield made


@pytest.fixture
def one(_only_own_children: None) -> Iterator[Decoders]:
    """A single child, started."""
    with Decoders(LIMITS, children=1) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def slow_photo() -> bytes:
    """A photo whose decoding takes a second or so: time enough to interfere."""
    noise = np.random.default_rng(0).integers(0, 256, (4000, 3000, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(data, "JPEG", quality=95, progressive=True, optimize=False)
    return data.getvalue()


@pytest.mark.parametrize("case", hostile.READ, ids=str)
def test_a_photo_comes_back_as_if_it_were_read_here(shared: Decoders, case: hostile.Case) -> None:
    apart, here = read(shared, case.make()), read_upload(case.make(), LIMITS)
    assert np.array_equal(apart.pixels, here.pixels)
    assert (apart.kept, apart.sha256, apart.format) == (here.kept, here.sha256, here.format)
    assert (apart.width, apart.height) == (here.width, here.height)


@pytest.mark.parametrize("case", hostile.REFUSED, ids=str)
def test_a_refusal_comes_back_as_it_was_raised(shared: Decoders, case: hostile.Case) -> None:
    with pytest.raises(PhotoError) as refused:
        read(shared, case.make())
    with pytest.raises(PhotoError) as told:
        read_upload(case.make(), LIMITS)
    assert (refused.value.code, refused.value.detail) == (case.code, told.value.detail)


def test_a_photo_larger_than_the_desk_comes_whole(shared: Decoders) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (500, 600, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(picture).resize((6000, 5000)).save(data, "JPEG", quality=60)
    assert np.array_equal(read(shared, data.getvalue()).pixels, read_upload(data.getvalue(), LIMITS).pixels)


def test_many_at_once_each_get_their_own_photo(shared: Decoders) -> None:
    photos = [hostile.encode(Image.new("RGB", (64 + n, 64), (n, 0, 0)), "PNG") for n in range(24)]
    with ThreadPoolExecutor(12) as pool:
        read_back = list(pool.map(lambda data: read(shared, data), photos))
    assert [(photo.width, int(photo.pixels[0, 0, 0])) for photo in read_back] == [(64 + n, n) for n in range(24)]


def while_decoding(decoders: Decoders, data: bytes, interfere: Callable[[int], None]) -> Photo:
    """Read a slow photo, and do something to its child in the middle of it."""
    (pid,) = children()
    ran = _cpu_ticks(pid)

    def watch() -> None:
        end = time.monotonic() + WAIT_S
        while _cpu_ticks(pid) < ran + 10 and time.monotonic() < end:  # a tenth of a second at work on it
            time.sleep(0.005)
        interfere(pid)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return read(decoders, data)
    finally:
        watcher.join()


def _cpu_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11])


@pytest.mark.parametrize("sign", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGXCPU])
def test_a_crash_is_the_photos_fault_and_the_next_photo_is_read(
    one: Decoders, slow_photo: bytes, sign: signal.Signals
) -> None:
    with pytest.raises(Undecodable):
        while_decoding(one, slow_photo, lambda pid: os.kill(pid, sign))
    assert read(one, hostile.jpeg()).width == 480


def test_a_decoder_that_hangs_is_ended_and_its_photo_refused(slow_photo: bytes) -> None:
    with Decoders(LIMITS, children=1, patience_s=1.0) as impatient:
        impatient.start()
        with pytest.raises(Undecodable, match="too long"):
            while_decoding(impatient, slow_photo, lambda pid: os.kill(pid, signal.SIGSTOP))
        assert children() == []
        assert read(impatient, hostile.jpeg()).width == 480


def test_a_child_that_somebody_killed_costs_nothing(one: Decoders, slow_photo: bytes) -> None:
    assert while_decoding(one, slow_photo, lambda pid: os.kill(pid, signal.SIGKILL)).width == 3000
    os.kill(children()[0], signal.SIGKILL)  # and one that is killed between two photos
    assert read(one, hostile.jpeg()).width == 480


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_lets_the_photo_under_way_be_read(
    one: Decoders, slow_photo: bytes, sign: signal.Signals
) -> None:
    assert while_decoding(one, slow_photo, lambda pid: os.kill(pid, sign)).width == 3000


def test_children_of_a_process_that_was_killed_end_quietly(slow_photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(slow_photo)
    program = """
import pathlib, sys
from leafloop.vision.decoders import Decoders
from leafloop.vision.photo import PhotoLimits
data = pathlib.Path(sys.argv[1]).read_bytes()
decoders = Decoders(PhotoLimits(), children=1)
decoders.start()
print("started", flush=True)
while True:
    decoders.read(data, decoders.check(data))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "photo.jpg")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        (child,) = map(int, Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split())
        ran, end = _cpu_ticks(child), time.monotonic() + WAIT_S
        while _cpu_ticks(child) < ran + 10 and time.monotonic() < end:
            time.sleep(0.005)
        parent.kill()
        said = parent.communicate(timeout=WAIT_S)[1]  # it ends when the last one that holds the pipe has ended
    assert said == ""


def test_a_machine_that_kills_again_and_again_is_out_of_memory_and_the_sender_is_told_to_come_again(
    one: Decoders, slow_photo: bytes
) -> None:
    """Each child is killed as soon as it has the photo: how fast the machine decodes it must not matter."""
    send = decoder_child.send

    def send_and_kill(to: socket.socket, words: dict[str, Any], handle: int | None) -> None:
        send(to, words, handle)
        for pid in children():
            os.kill(pid, signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder_child, "send", send_and_kill)
        with pytest.raises(Overloaded, match="memory"):
            read(one, slow_photo)
    assert read(one, hostile.jpeg()).width == 480


def test_a_codec_that_wants_more_memory_than_its_photo_may_is_refused() -> None:
    """A photo of 56 megapixels that passes for one of a megapixel: its codec asks for what the limit does not give."""
    picture = io.BytesIO()
    Image.new("CMYK", (8000, 7000)).save(picture, "JPEG")
    with Decoders(LIMITS, children=1) as strict, pytest.raises(TooManyPixels, match="memory"):
        strict.read(picture.getvalue(), pixels=1_000_000)


def test_limits_are_set_on_the_child_and_secrets_are_not_passed_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-for-codecs")
    with Decoders(LIMITS, children=1) as fresh:
        read(fresh, hostile.jpeg())
        (pid,) = children()
        assert b"not-for-codecs" not in Path(f"/proc/{pid}/environ").read_bytes()
        memory = resource.prlimit(pid, resource.RLIMIT_AS)[0]
        seconds = resource.prlimit(pid, resource.RLIMIT_CPU)[0]
        assert 0 < memory < 2 * 1024**3
        assert 0 < seconds < 30
        assert resource.prlimit(pid, resource.RLIMIT_CORE)[0] == 0
        assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == 800


def test_children_end_with_the_one_that_reads() -> None:
    with Decoders(LIMITS) as closing:
        read(closing, hostile.jpeg())
        assert children()
    assert children() == []


def test_a_limit_on_files_is_no_fault_of_the_photo() -> None:
    """Files in memory count. A small photo still fits into a small limit; for a large one an operator has to raise it."""
    program = """
from tests import hostile
from leafloop.errors import StorageFull
from leafloop.vision.decoders import Decoders
from leafloop.vision.photo import PhotoLimits
from PIL import Image
with Decoders(PhotoLimits()) as decoders:
    for side in (300, 3000):
        data = hostile.encode(Image.new("RGB", (side, side)), "JPEG")
        try:
            print(decoders.read(data, decoders.check(data)).width)
        except StorageFull as error:
            print("ulimit" in error.detail)
"""
    limited = ["prlimit", "--fsize=2000000", sys.executable, "-c", program]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.returncode) == (["300", "True"], 0), done.stderr


def test_where_no_child_can_be_started_the_sender_is_told_that_it_is_not_the_photo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoders_module.sys, "executable", "/bin/false")
    with Decoders(LIMITS) as broken:
        with pytest.raises(Unavailable, match="could not be started"):
            broken.start()
        with pytest.raises(Unavailable, match="could not be started"):
            read(broken, hostile.jpeg())
