"""The child process in which uploads are decoded: bytes come in, a photo or its refusal goes out. Knows no HTTP and no storage.

A codec that crashes, hangs or asks for too much memory ends this process, which holds nothing and is started again. What passes
is plain: files in memory for the bytes, JSON for the words; nothing that the parent would have to trust.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from leafloop.errors import PhotoError
from leafloop.vision.detection import Pixels
from leafloop.vision.photo import PhotoLimits, read_upload

MAX_WORDS = 4096  # bytes of one message
READY = {"ready": True}
NO_MEMORY, NO_ROOM = "no_memory", "no_room"  # what the limit on memory refused, and what the machine
# Where an ordinary photo is laid for the parent to copy: memory that is there already is 3 times as fast as new memory. 16
# megapixels and their file; a larger photo gets memory of its own.
DESK_BYTES = 56 * 1024 * 1024
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
# Bytes of memory for each pixel that a file declares. Measured at 60 megapixels: JPEG 4 to 7 (CMYK 15), PNG 13 to 22, WebP 19
# to 24, HEIC 15 (with alpha 32).
MEMORY_PER_PIXEL = 36
MEMORY_BESIDE = 192 * 1024 * 1024
FIRST_TO_GO = 800  # of 1000, when the machine is out of memory: the service itself stands at 0
NICENESS = 10  # as the model's threads: who asks whether the service is well does not wait for a decoder
SPARE_CPU_S = 5  # beyond the parent's patience: only a child whose parent is gone comes to it


def main() -> None:
    """Serve the socket that is the first argument; the second holds the limits."""
    for ending in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C and systemd send them to all; the parent says when to end
        signal.signal(ending, signal.SIG_IGN)
    gone = contextlib.suppress(ConnectionError)
    with socket.socket(fileno=int(sys.argv[1])) as parent, in_memory("desk", b"") as desk, gone:
        told = json.loads(sys.argv[2])
        patience_s, limits = told.pop("patience_s"), PhotoLimits(**told)
        _bound()
        room = min(DESK_BYTES, _largest_file())
        _seal(desk, room)
        send(parent, READY, desk)
        while True:
            words, handle = receive(parent)
            if handle is None:  # the parent is gone
                return
            _allow(words["pixels"], patience_s)
            _answer(parent, _taken(handle, words["bytes"]), limits, desk, room)


def _answer(parent: socket.socket, data: bytes, limits: PhotoLimits, desk: int, room: int) -> None:
    try:
        photo = read_upload(data, limits)
        pixels = np.ascontiguousarray(photo.pixels)
        whole = len(photo.kept.data) + pixels.nbytes
        words = {"width": photo.width, "height": photo.height, "kept_bytes": len(photo.kept.data)}
        if whole <= room:
            _lay(desk, photo.kept.data, pixels)
            send(parent, words)
            return
        with in_memory("photo", b"") as own:
            _seal(own, whole)
            _lay(own, photo.kept.data, pixels)
            send(parent, words, own)
    except PhotoError as error:
        send(parent, {"error": error.code, "detail": error.detail, "fields": error.fields})
    except MemoryError:
        send(parent, {"error": NO_MEMORY})
    except ConnectionError:
        raise
    except OSError as error:  # of the memory that is to hold the photo: a limit on files, or no room
        send(parent, {"error": NO_ROOM, "number": error.errno})


def _lay(handle: int, kept: bytes, pixels: Pixels) -> None:
    """The kept copy, and the pixels after it."""
    _write_all(handle, kept, 0)
    _write_all(handle, pixels.data.cast("B"), len(kept))


def _seal(handle: int, size: int) -> None:
    """Nobody can take the memory away under the one who reads it."""
    os.ftruncate(handle, size)
    fcntl.fcntl(handle, fcntl.F_ADD_SEALS, SEALS | fcntl.F_SEAL_SEAL)


@contextlib.contextmanager
def in_memory(name: str, data: bytes) -> Iterator[int]:
    """Bytes as an open file in memory."""
    handle = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        _write_all(handle, data, 0)
        yield handle
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes | memoryview, at: int) -> None:
    left = memoryview(data)
    while left:
        count = os.pwrite(handle, left, at)
        left, at = left[count:], at + count


def _taken(handle: int, count: int) -> bytes:
    with os.fdopen(handle, "rb"):
        return os.pread(handle, count, 0)


def send(peer: socket.socket, words: dict[str, Any], handle: int | None = None) -> None:
    """One message, with an open file if there is one. Raises `OSError` when nobody is there to take it."""
    socket.send_fds(peer, [json.dumps(words).encode()], [] if handle is None else [handle])


def receive(peer: socket.socket) -> tuple[dict[str, Any], int | None]:
    """One message and its open file; an empty one when the other side is gone. Raises `TimeoutError`."""
    body, handles, _flags, _address = socket.recv_fds(peer, MAX_WORDS, 1)
    words: dict[str, Any] = json.loads(body) if body else {}
    return words, handles[0] if handles else None


def limits_for_child(limits: PhotoLimits, patience_s: float) -> str:
    """What `main` is told."""
    return json.dumps({**asdict(limits), "patience_s": patience_s})


def _bound() -> None:
    """No core file; behind the service on a full machine; and first to go when that is out of memory."""
    os.nice(NICENESS)
    _limit(resource.RLIMIT_CORE, 0)
    Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO), "ascii")


def _allow(pixels: int, patience_s: float) -> None:
    """For the next photo: memory by its size, and time on the processor. What takes more is ended by the system."""
    used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, used + MEMORY_PER_PIXEL * pixels + MEMORY_BESIDE)
    spent = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(spent.ru_utime + spent.ru_stime + patience_s) + SPARE_CPU_S)


def _largest_file() -> int:
    """The system counts files in memory as files (`ulimit -f`)."""
    soft = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return DESK_BYTES if soft == resource.RLIM_INFINITY else soft


def _limit(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == "__main__":
    main()
