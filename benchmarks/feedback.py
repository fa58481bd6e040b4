"""How many words on answers are kept in a second, and how long one waits, on SQLite and on PostgreSQL: `make bench-feedback`.

Measured is the whole of a submit below HTTP (`live.speaking`): the answer looked up and held, the word checked, its author's
history folded, the review queue brought up to date, and the commit on disk; both databases sync as they do in service. `spread`:
people speak of many answers. `one answer`: all speak of one, whose row they hold one after the other. Callers are a closed loop of
threads, so the latency at eight is that of a queue of eight.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.learning.said import SICKER, an_answer
from tests.servers import postgres_running

from benchmarks import machine
from benchmarks.load import percentile
from leafloop import log, taxonomy
from leafloop.errors import Unavailable
from leafloop.learning.words.word import Word
from leafloop.live import speaking
from leafloop.live.speaking import Speaker
from leafloop.storage.ledger import Ledger
from leafloop.taxonomy import BUILT_IN

ANSWERS, AUTHORS = 1000, 200  # a season's photos of a few villages, and the people who speak of them
KEY = "benchkey"
EDGES = {"x1": 9, "y1": 5, "x2": 20, "y2": 40}
WORDS = (
    Word(True),
    Word(False, correct_class_name=SICKER),
    Word(False, correct_outcome="healthy"),
    Word(False, corrected_boxes=tuple({"class_name": SICKER, "bbox": {**EDGES, "x2": 20 + i}} for i in range(20))),
    Word(None, ask_expert=True, comment="What is this?"),
)


@dataclass(frozen=True)
class Figures:
    database: str
    what: str
    threads: int
    per_second: float
    p50_ms: float
    p99_ms: float
    refused: int

    def line(self) -> str:
        return (
            f"| {self.database} | {self.what} | {self.threads} | {self.per_second:.0f} | {self.p50_ms:.1f} | {self.p99_ms:.1f} "
            f"| {self.refused} |"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feedback", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each case is measured")
    told = parser.parse_args(arguments)
    log.set_up("ERROR", "human")
    facts = machine.facts()
    print(f"{facts['processor']}, {facts['cores']} cores, load before {facts['load_before']}, {facts['measured_at']}\n")
    print("| database | words on | threads | words/s | p50 ms | p99 ms | refused |\n|---|---|---|---|---|---|---|")
    for name, ledger in _databases():
        ids = _answers(ledger)
        for what, answers in (("spread", ids), ("one answer", ids[:1])):
            for threads in (1, 8):
                print(_measure(ledger, name, what, answers, threads, told.seconds).line(), flush=True)
    return 0


def _databases() -> Iterator[tuple[str, Ledger]]:
    with _folder() as folder:
        with _opened(f"sqlite:///{folder / 'leafloop.db'}") as ledger:
            yield "SQLite", ledger
        with postgres_running(folder / "server") as server:
            server.run("CREATE DATABASE bench")
            with _opened(server.url("bench")) as ledger:
                yield "PostgreSQL", ledger


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="leafloop-bench-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user where we are root
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _opened(url: str) -> Iterator[Ledger]:
    ledger = Ledger(url)
    ledger.upgrade()
    try:
        yield ledger
    finally:
        ledger.close()


def _answers(ledger: Ledger) -> list[str]:
    with ledger.transaction() as session:
        return [an_answer(session, key_id=KEY).id for _ in range(ANSWERS)]


def _measure(ledger: Ledger, name: str, what: str, answers: list[str], threads: int, seconds: float) -> Figures:
    classes, end = taxonomy.load(BUILT_IN), time.monotonic() + seconds
    took: list[float] = []
    refused: list[str] = []

    def speak(seed: int) -> None:
        chance, number = random.Random(seed), 0
        while time.monotonic() < end:
            number += 1
            word = WORDS[number % len(WORDS)]  # never the same twice in a row: each is a row
            speaker = Speaker(KEY, f"user-{seed}-{chance.randrange(AUTHORS // threads)}")
            began = time.perf_counter()
            try:
                speaking.submit(ledger, classes, speaker, chance.choice(answers), word)
            except Unavailable as error:
                refused.append(error.code)
                continue
            took.append((time.perf_counter() - began) * 1000)

    people = [threading.Thread(target=speak, args=(seed,)) for seed in range(threads)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    return Figures(
        name, what, threads, len(took) / seconds, percentile(took, 0.5), percentile(took, 0.99), len(refused)
    )


if __name__ == "__main__":
    raise SystemExit(main())
