"""Settings: every default works, and every mistake names its variable."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from leafloop import settings
from leafloop.errors import ConfigurationInvalid


def test_an_empty_environment_is_a_complete_configuration() -> None:
    chosen = settings.load({}, dotenv=None)
    assert (chosen.host, chosen.port) == ("127.0.0.1", 8000)
    assert chosen.database == f"sqlite:///{Path.home()}/.leafloop/leafloop.db"
    assert chosen.blobs == f"file://{Path.home()}/.leafloop/blobs"


def test_the_home_folder_moves_everything_that_is_kept(tmp_path: Path) -> None:
    chosen = settings.load({"LEAFLOOP_HOME": str(tmp_path)}, dotenv=None)
    assert chosen.database == f"sqlite:///{tmp_path}/leafloop.db"
    assert chosen.blobs == (tmp_path / "blobs").as_uri()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LEAFLOOP_PORT", "eighty"),
        ("LEAFLOOP_PORT", "70000"),
        ("LEAFLOOP_LOG_LEVEL", "loud"),
        ("LEAFLOOP_MAX_WAITING", "0"),
        ("LEAFLOOP_RATE_LIMIT", "many"),
        ("LEAFLOOP_SECRET_KEY", "short"),
    ],
)
def test_a_bad_value_ends_the_start_and_names_the_variable_but_never_its_value(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        settings.load({variable: value}, dotenv=None)
    assert refused.value.detail.startswith(variable)
    if variable == "LEAFLOOP_SECRET_KEY":
        assert value not in refused.value.detail


def test_a_misspelt_name_is_refused_with_the_right_one() -> None:
    with pytest.raises(ConfigurationInvalid, match="Did you mean LEAFLOOP_DATABASE_URL"):
        settings.load({"LEAFLOOP_DATABSE_URL": "sqlite://"}, dotenv=None)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql+psycopg://u:p@db/leafloop\n")
    chosen = settings.load({"LEAFLOOP_DATABASE_URL_FILE": str(tmp_path / "url")}, dotenv=None)
    assert chosen.database == "postgresql+psycopg://u:p@db/leafloop"


def test_a_secret_file_that_cannot_be_read_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="LEAFLOOP_SECRET_KEY_FILE"):
        settings.load({"LEAFLOOP_SECRET_KEY_FILE": str(tmp_path / "absent")}, dotenv=None)


def test_the_environment_wins_over_dotenv_and_both_over_the_older_names(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("LEAFLOOP_PORT=8001\nLEAFLOOP_HOST=127.0.0.2\nHOST=0.0.0.0\n")
    chosen = settings.load({"LEAFLOOP_PORT": "8002", "PORT": "8003"}, dotenv=dotenv)
    assert (chosen.host, chosen.port) == ("127.0.0.2", 8002)


def test_the_older_systems_database_variables_make_a_url_with_an_escaped_password() -> None:
    older = {
        "POSTGRES_HOST": "db",
        "POSTGRES_PORT": "5433",
        "POSTGRES_DB": "leaf",
        "POSTGRES_USER": "u",
        "POSTGRES_PASSWORD": "p@ss/word",
    }
    assert settings.load(older, dotenv=None).database == "postgresql+psycopg://u:p%40ss%2Fword@db:5433/leaf"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert settings.load({"LEAFLOOP_PUBLIC_URL": "", "LEAFLOOP_PORT": ""}, dotenv=None).port == 8000


def test_no_other_module_reads_the_environment() -> None:
    readers = [
        path.name
        for path in Path(settings.__file__).parent.rglob("*.py")
        if "os.environ" in path.read_text("utf-8") or "os.getenv" in path.read_text("utf-8")
    ]
    # The two training modules set variables for a library in a process of their own; decoders.py passes paths on to its children.
    assert set(readers) <= {"settings.py", "libreyolo.py", "process.py", "decoders.py"}


def test_a_wrong_setting_ends_the_command_with_exit_code_78() -> None:
    command = [sys.executable, "-m", "leafloop", "serve"]
    done = subprocess.run(
        command, env={"LEAFLOOP_PORT": "eighty", "PATH": ""}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 78
    assert "LEAFLOOP_PORT" in done.stderr
    assert "Traceback" not in done.stderr
