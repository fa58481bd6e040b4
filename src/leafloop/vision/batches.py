"""Feeds a compiled model with full batches of tiles, whichever photos they are of; knows no box and no photo.

Tiles wait in the order in which they came, and a batch takes the first ones: a photo of few tiles shares its batch with the next.
Nothing waits for a batch to fill up. Each batch has the same shape, and a model treats the images of a batch each for itself:
a tile's answer depends on its pixels alone.
"""

from __future__ import annotations

import math
import queue
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import openvino as ov

from leafloop import metrics
from leafloop.vision.detection import FloatArray

Tiles = npt.NDArray[np.uint8]
_Answer = tuple[int, FloatArray]  # the first tile, and the raw answer to each one from there


@dataclass(slots=True, eq=False)
class _Photo:
    """One caller's tiles, how many of them have been taken, and what has come of them."""

    tiles: Tiles
    taken: int = 0
    answers: queue.SimpleQueue[_Answer | Exception] = field(default_factory=queue.SimpleQueue)


class Batches:
    """A compiled model behind one queue. Safe to call from threads."""

    def __init__(self, compiled: ov.CompiledModel, batch: int, streams: int) -> None:
        self._batch, self._lock = batch, threading.Lock()
        self._waiting: deque[_Photo] = deque()
        self._free: queue.SimpleQueue[ov.InferRequest] = queue.SimpleQueue()
        # One more than run at once, so that a stream finds its next batch laid ready. Plain requests, waited for in threads of our
        # own, not AsyncInferQueue: its Python callbacks run in OpenVINO's threads, and letting such a queue go while one of
        # them waits for the interpreter's lock hung the process (seen on 2026.4.1).
        for _ in range(streams + 1):
            self._free.put(compiled.create_infer_request())
        self._threads = ThreadPoolExecutor(streams + 1, thread_name_prefix="leafloop-tiles")

    def run(self, tiles: Tiles) -> Iterator[_Answer]:
        """(first tile, raw answer to each tile from there), in the order in which they are done. Raises what the model raises."""
        photo = _Photo(tiles)
        with self._lock:
            self._waiting.append(photo)
        for _ in range(
            math.ceil(len(tiles) / self._batch)
        ):  # enough for all that waits, also where photos share batches
            self._threads.submit(self._one)
        told = 0
        while told < len(tiles):
            answer = photo.answers.get()
            if isinstance(answer, Exception):
                raise answer
            told += len(answer[1])
            yield answer

    def _one(self) -> None:
        parts = self._take()
        if not parts:
            return
        metrics.BATCH_TILES.observe(sum(count for _, _, count in parts))
        request = self._free.get()
        try:
            _run(request, parts)
        except Exception as error:  # noqa: BLE001 - whatever it was, those who wait have to be told
            for photo, _, _ in parts:
                photo.answers.put(error)
        finally:
            self._free.put(request)

    def _take(self) -> list[tuple[_Photo, int, int]]:
        """The next batch: (photo, first tile, how many) for each photo that has a part in it."""
        parts, room = [], self._batch
        with self._lock:
            while room and self._waiting:
                photo = self._waiting[0]
                count = min(room, len(photo.tiles) - photo.taken)
                parts.append((photo, photo.taken, count))
                photo.taken += count
                room -= count
                if photo.taken == len(photo.tiles):
                    self._waiting.popleft()
        return parts


def _run(request: ov.InferRequest, parts: list[tuple[_Photo, int, int]]) -> None:
    images, at = request.get_input_tensor().data, 0
    for photo, start, count in parts:
        images[at : at + count] = photo.tiles[start : start + count]
        at += count
    images[at:] = 0  # what is left of a batch is computed with it
    request.start_async()
    request.wait()
    raw, at = request.get_output_tensor(0).data, 0
    for photo, start, count in parts:
        photo.answers.put((start, raw[at : at + count].copy()))
        at += count
