"""Reads uploads in child processes: a decoder that crashes, hangs or wants too much memory costs one request. Knows no HTTP.

A few children wait for work; one that died is replaced when the next photo needs it. Pixels come back in memory that both
processes see, not through a pipe.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from leafloop import log, metrics
from leafloop.errors import Overloaded, PhotoError, StorageFull, TooManyPixels, Unavailable, Undecodable
from leafloop.vision import decoder_child, kept, photo, sniff
from leafloop.vision.detection import Pixels
from leafloop.vision.photo import Photo, PhotoLimits

_log = log.get(__name__)

# The largest photo of the slowest format takes 3 s alone; what takes longer beside other work was made to.
PATIENCE_S = 8.0
START_S = 60.0  # a child imports its codecs in 0.4 s; a machine that starts many things at once takes longer
CHILDREN = 2  # one decodes while the other's photo is judged; a third gains nothing, since tiles take ten times as long
_ERRORS: dict[str, type[PhotoError]] = {kind.code: kind for kind in PhotoError.__subclasses__()}
# Libraries that start a thread a core for themselves; and nothing that the service knows and a codec need not.
_ENVIRON = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_PASSED_ON = ("PATH", "PYTHONPATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class Decoders:
    """Safe to call from threads. Children are started when they are first needed, and end with `close` or with this process."""

    def __init__(self, limits: PhotoLimits, *, children: int = CHILDREN, patience_s: float = PATIENCE_S) -> None:
        self._limits, self._patience_s, self._children = limits, patience_s, children
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(children):
            self._idle.put(None)  # a place for a child that is not started yet

    def check(self, data: bytes) -> int:
        """What `photo.check` gives and raises: done right here, since no codec has a part in it."""
        return photo.check(data, self._limits)

    def read(self, data: bytes, pixels: int) -> Photo:
        """The photo, of which `check` gave the number of pixels.

        Raises what `photo.read_upload` raises; a photo that its codec does not survive is `Undecodable`. Raises `Overloaded` when
        the machine is out of memory, and `Unavailable` when no child process can be started.
        """
        for _ in range(2):  # a child may be killed by somebody, or for want of memory, which passes
            with contextlib.suppress(_Killed), self._child() as child:
                return child.read(data, pixels)
        raise Overloaded("The machine ran out of memory while it read the photo. Send it again in a moment.")

    def start(self) -> None:
        """See that one child is ready, so that the next photo need not wait for it. Raises `Unavailable`."""
        if not self._idle.empty():  # else all are at work
            with self._child() as child:
                child.wait_until_ready()

    def close(self) -> None:
        """End the children. Nobody reads any more."""
        for _ in range(self._children):
            child = self._idle.get()
            if child is not None:
                child.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _child(self) -> Iterator[_Child]:
        child = self._idle.get()
        try:
            child = child or _Child(self._limits, self._patience_s)
            yield child
        finally:
            self._idle.put(child if child is not None and child.is_well else None)


class _Killed(Exception):
    """The child was ended from outside."""


class _Child:
    """One process and the socket to it. Used by one thread at a time."""

    def __init__(self, limits: PhotoLimits, patience_s: float) -> None:
        self._patience_s, self._ready, self.is_well = patience_s, False, True
        try:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise _not_started(str(error)) from error
        told = decoder_child.limits_for_child(limits, patience_s)
        command = [sys.executable, "-P", "-m", decoder_child.__name__, str(theirs.fileno()), told]
        environ = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | _ENVIRON
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no word of a caller's
                    command,
                    pass_fds=(theirs.fileno(),),
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            except OSError as error:
                self._socket.close()
                raise _not_started(str(error)) from error

    def wait_until_ready(self) -> None:
        if self._ready:
            return
        self._socket.settimeout(START_S)
        words: dict[str, Any] = {}
        desk = None
        with contextlib.suppress(OSError):
            words, desk = decoder_child.receive(self._socket)
        if words != decoder_child.READY or desk is None:
            self.end()
            raise _not_started(f"it ended with {self._process.returncode} before it was ready")
        self._desk, self._ready = _mapped(desk), True

    def read(self, data: bytes, pixels: int) -> Photo:
        self.wait_until_ready()
        self._socket.settimeout(self._patience_s)
        try:
            words, handle = self._ask(data, pixels)
        except TimeoutError:
            raise self._lost(data, "took too long", Undecodable(_TOO_LONG)) from None
        if not words:
            raise self._died(data)
        if "error" not in words:
            return _photo_of(words, self._desk if handle is None else _mapped(handle), data)
        if words["error"] == decoder_child.NO_MEMORY:
            raise TooManyPixels(_TOO_MUCH_MEMORY)
        if words["error"] == decoder_child.NO_ROOM:
            raise _no_room(words["number"])
        raise _ERRORS[words["error"]](words["detail"], **words["fields"])

    def end(self) -> None:
        """End it, and take it off the system's list of processes."""
        self.is_well = False
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _ask(self, data: bytes, pixels: int) -> tuple[dict[str, Any], int | None]:
        try:
            with decoder_child.in_memory("upload", data) as upload:
                decoder_child.send(self._socket, {"bytes": len(data), "pixels": pixels}, upload)
            return decoder_child.receive(self._socket)
        except TimeoutError:
            raise
        except ConnectionError:
            return {}, None  # it is gone
        except OSError as error:
            raise _no_room(error.errno) from error

    def _died(self, data: bytes) -> Exception:
        with contextlib.suppress(subprocess.TimeoutExpired):  # its socket closes a moment before it ends
            self._process.wait(1)
        code = self._process.poll()
        return self._lost(data, f"ended with {code}", _Killed() if code == -signal.SIGKILL else Undecodable())

    def _lost(self, data: bytes, how: str, error: Exception) -> Exception:
        self.end()
        metrics.DECODERS_LOST.inc()
        _log.warning("decoder process lost", how=how, photo=hashlib.sha256(data).hexdigest(), bytes=len(data))
        return error


_TOO_LONG = "The picture takes too long to read. Take a new photo, or send it as an ordinary JPEG."
_TOO_MUCH_MEMORY = "The picture needs more memory than a photo may. Send it smaller, or as an ordinary JPEG."


def _not_started(why: str) -> Unavailable:
    return Unavailable(f"The process that reads photos could not be started: {why}. The log says more.")


def _no_room(number: int | None) -> Unavailable:
    if number == errno.EFBIG:
        return StorageFull(
            "The limit on the size of files (ulimit -f) is too small for a photo. An operator has to raise it."
        )
    return Overloaded(
        "The machine has no memory or no file handles left to read the photo with. Send it again in a moment."
    )


def _mapped(handle: int) -> memoryview:
    """A file in memory that a child gave. Raises `Unavailable` for one that could be taken away while it is read."""
    with os.fdopen(handle, "rb"):
        if fcntl.fcntl(handle, fcntl.F_GET_SEALS) & decoder_child.SEALS != decoder_child.SEALS:
            raise Unavailable("A process that reads photos broke its rules.")
        return memoryview(mmap.mmap(handle, 0, prot=mmap.PROT_READ))


def _photo_of(words: dict[str, Any], laid: memoryview, data: bytes) -> Photo:
    """Of what a child says only the sizes are taken: hashes and types are made from the bytes, here."""
    width, height, begin = int(words["width"]), int(words["height"]), int(words["kept_bytes"])
    pixels: Pixels = np.frombuffer(laid, np.uint8, width * height * 3, begin).reshape(height, width, 3).copy()
    sha256 = hashlib.sha256(data).hexdigest()
    return Photo(pixels, width, height, sniff.format_of(data), sha256, kept.copy_of(bytes(laid[:begin])))
