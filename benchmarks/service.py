"""A real `leafloop serve` in a throw-away home, and what memory it and its children have. Knows no photo."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_S = 120
STOP_S = 40  # what is under way is answered first
READY = "Leafloop is ready: "
SAMPLE_S = 0.25  # reading a process's memory map stops it for a moment


@dataclass(frozen=True)
class Service:
    pid: int
    host: str
    port: int

    def memory_mb(self) -> float:
        """Of the service and all below it: the sum of PSS, so that pages which they share are counted once."""
        return sum(_pss_kb(pid) for pid in _family(self.pid)) / 1024


@contextmanager
def running(home: Path) -> Iterator[Service]:
    """Started with the plain command and its defaults; only the limits on callers are out of the way."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("LEAFLOOP_")}
    environ |= {
        "LEAFLOOP_HOME": str(home),
        "LEAFLOOP_PORT": "0",
        "LEAFLOOP_RATE_LIMIT": "1000000/minute",
        "LEAFLOOP_PREDICT_RATE_LIMIT": "1000000/minute",
        "LEAFLOOP_LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "leafloop", "serve"]
    with (home.parent / f"{home.name}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=log, cwd=home.parent)
    try:
        host, port = _address(process)
        yield Service(process.pid, host, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes]) -> tuple[str, int]:
    assert process.stdout is not None
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if select.select([process.stdout], [], [], 1)[0]:
            line = process.stdout.readline().decode()
            if line.startswith(READY):
                host, port = line.removeprefix(READY).strip().removeprefix("http://").rsplit(":", 1)
                return host, int(port)
    raise RuntimeError("the service did not start; its log lies beside its home")


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            found += _family(int(child))
    return found


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it ended meanwhile
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


@contextmanager
def watching_memory(service: Service) -> Iterator[list[float]]:
    """Samples in MB, taken while the block runs."""
    samples, stop = [service.memory_mb()], threading.Event()

    def watch() -> None:
        while not stop.wait(SAMPLE_S):
            samples.append(service.memory_mb())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()
