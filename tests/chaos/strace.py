"""Faults at an exact system call of a service that runs, without a hook in it: `strace --inject`, attached and let go again."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.servers import wait_until
from tests.service import Service

_needed = shutil.which("strace") is None
needs_strace = pytest.mark.skipif(_needed, reason="strace is not installed (apt-get install strace)")


@contextmanager
def injected(service: Service, *faults: str, loop_alone: bool = False) -> Iterator[Path]:
    """While it lasts, the faults happen, each written as in `fsync,fdatasync:error=EIO` or `rename:signal=SIGKILL:when=2`.

    `when` counts the calls of one thread from here on. `loop_alone`: only in the thread of the event loop, which is the one that
    speaks to clients. The service may die of it. Gives the file in which the calls are listed.
    """
    log, trace = service.home.parent / "strace.log", service.home.parent / "strace.trace"
    wanted = [word for fault in faults for word in ("-e", f"inject={fault}")]
    traced = ",".join(sorted({call for fault in faults for call in fault.split(":")[0].split(",")}))
    whom = [] if loop_alone else ["-f"]
    command = [
        "strace",
        *whom,
        "-y",
        "-o",
        str(trace),
        "-e",
        f"trace={traced}",
        *wanted,
        "-p",
        str(service.process.pid),
    ]
    with log.open("w") as said:
        tracer = subprocess.Popen(command, stderr=said)
    try:
        wait_until(lambda: "attached" in log.read_text() or tracer.poll() is not None, "strace")
        if "Operation not permitted" in log.read_text():
            pytest.skip(
                "this machine does not let us trace another process (sysctl kernel.yama.ptrace_scope=0 allows it)"
            )
        assert "attached" in log.read_text(), log.read_text()
        yield trace
    finally:
        _let_go(tracer)


def _let_go(tracer: subprocess.Popen[bytes]) -> None:
    if tracer.poll() is None:
        tracer.send_signal(signal.SIGINT)
    try:
        tracer.wait(5)
    except subprocess.TimeoutExpired:  # strace 6.1 may wait for ever for a thread that ended as it was being attached
        tracer.kill()
        tracer.wait(20)
