"""Tiles of many photos share batches: each photo gets its own answers, the same to the bit, and hears of what went wrong."""

from __future__ import annotations

import gc
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from tests import tiny_models

from leafloop.vision import tiles
from leafloop.vision.batches import Batches
from leafloop.vision.detector import Detector

WAIT_S = 20.0


class Request:
    """Stands for a compiled model's request where a real one cannot be made to stop or fail: it answers with the sum of each image."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._images = np.zeros((model.batch, 2, 2, 3), np.uint8)

    def get_input_tensor(self) -> Any:
        return Tensor(self._images)

    def start_async(self) -> None:
        self._model.sizes.put(int((self._images.reshape(len(self._images), -1).max(axis=1) > 0).sum()))

    def wait(self) -> None:
        assert self._model.gate.wait(WAIT_S)
        if self._model.broken:
            raise RuntimeError("the model broke")

    def get_output_tensor(self, _: int) -> Any:
        return Tensor(self._images.reshape(len(self._images), -1).sum(axis=1, dtype=np.float32))


class Tensor:
    def __init__(self, data: np.ndarray) -> None:
        self.data = data


class Model:
    def __init__(self, batch: int = 4) -> None:
        self.batch, self.broken = batch, False
        self.gate, self.sizes = threading.Event(), queue.SimpleQueue[int]()

    def create_infer_request(self) -> Request:
        return Request(self)


def plain(count: int, value: int) -> np.ndarray:
    return np.full((count, 2, 2, 3), value, np.uint8)


def answers(batches: Batches, photo: np.ndarray) -> list[float]:
    told = sorted(batches.run(photo), key=lambda answer: answer[0])
    return [float(value) for _, raw in told for value in raw]


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.gate.set()


def test_small_photos_share_a_batch_and_each_gets_its_own_answers(model: Model) -> None:
    batches = Batches(model, 4, 1)  # two requests: while both are held, all others wait in the queue
    with ThreadPoolExecutor(12) as pool:
        first = [pool.submit(answers, batches, plain(4, 1)) for _ in range(2)]
        assert [model.sizes.get(timeout=WAIT_S) for _ in first] == [4, 4]
        rest = [pool.submit(answers, batches, plain(1, value)) for value in range(2, 10)]
        end = time.monotonic() + WAIT_S
        while len(batches._waiting) < len(rest) and time.monotonic() < end:
            time.sleep(0.001)
        model.gate.set()
        assert [future.result(WAIT_S) for future in first] == [[12.0] * 4] * 2
        assert [future.result(WAIT_S) for future in rest] == [[12.0 * value] for value in range(2, 10)]
    assert [model.sizes.get(timeout=WAIT_S) for _ in range(2)] == [4, 4]  # eight photos, two batches


def test_a_model_that_breaks_tells_all_whose_tiles_it_held_and_goes_on(model: Model) -> None:
    batches = Batches(model, 4, 1)
    model.broken = True
    model.gate.set()
    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(answers, batches, plain(2, 1)) for _ in range(3)]:
            with pytest.raises(RuntimeError, match="the model broke"):
                future.result(WAIT_S)
    model.broken = False
    assert answers(batches, plain(5, 1)) == [12.0] * 5


def test_a_photo_whose_reader_gave_up_holds_nobody_up(model: Model) -> None:
    batches = Batches(model, 4, 1)
    model.gate.set()
    next(batches.run(plain(40, 1)))
    assert answers(batches, plain(3, 2)) == [24.0] * 3


def test_its_threads_end_with_it(model: Model) -> None:
    model.gate.set()
    before = set(threading.enumerate())
    batches = Batches(model, 4, 2)
    answers(batches, plain(20, 1))
    own = set(threading.enumerate()) - before
    assert own
    del batches
    gc.collect()
    for thread in own:
        thread.join(WAIT_S)
    assert not any(thread.is_alive() for thread in own)


def test_photos_read_at_once_get_the_same_answers_to_the_bit_as_each_alone(tmp_path: Any) -> None:
    detector = Detector(tiny_models.tiny_bundle(tmp_path / "tiny"), precision="f32")
    photos = []
    for number in range(8):
        width = 200 + 110 * number
        grid = tiles.grid(width, 300)
        spots = [(1 + number % 5, (20 + 37 * k, 40, 50 + 37 * k, 90)) for k in range(width // 60)]
        photos.append((tiles.cut(tiny_models.photo(width, 300, *spots, fade=number), grid), grid))
    alone = [detector.detect(*photo) for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for one, other in zip(alone, pool.map(lambda photo: detector.detect(*photo), photos), strict=True):
                for name in ("xyxy_px", "confidence", "class_id", "tile"):
                    assert np.array_equal(getattr(one, name), getattr(other, name))
