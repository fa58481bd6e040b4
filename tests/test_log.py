"""The log: one line an event, in one form, that nobody can forge."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from leafloop import log


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_json_line_has_the_documented_fields(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "json")
    log.get("leafloop.some").info("photo answered", request_id="r1", ms=12)
    line = json.loads(capsys.readouterr().err)
    assert {"timestamp", "level", "event", "logger"} <= set(line)
    assert (line["event"], line["logger"], line["request_id"], line["ms"]) == (
        "photo answered",
        "leafloop.some",
        "r1",
        12,
    )


def test_lines_of_other_libraries_have_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "json")
    logging.getLogger("uvicorn.error").info("started %s", "well")
    assert json.loads(capsys.readouterr().err)["event"] == "started well"


@pytest.mark.parametrize("form", ["json", "human"])
def test_control_characters_cannot_write_a_second_line_or_paint_the_terminal(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up("INFO", form)
    log.get("x").warning("refused", file_name="a\r\n2026 level=error forged\x1b[2J\u202egpj")
    out = capsys.readouterr().err
    assert len(out.splitlines()) == 1
    assert "\x1b[2J" not in out
    assert "\u202e" not in out


def test_what_is_below_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("WARNING", "json")
    log.get("x").info("quiet")
    assert capsys.readouterr().err == ""


def test_an_exception_stays_on_its_own_line_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "json")
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        log.get("x").exception("failed")
    out = capsys.readouterr().err
    assert len(out.splitlines()) == 1
    assert "ValueError" in json.loads(out)["exception"]


@pytest.mark.parametrize("form", ["json", "human"])
def test_what_is_deep_in_a_value_or_in_an_error_cannot_either(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    forged = "a\r\n2026-01-01T00:00:00Z [error] forged\u2028\x9b2J\u2066\x1b[2J"
    log.set_up("INFO", form)
    log.get("x").info("said", fields=[{"name": forged}, (forged,)])
    try:
        raise ValueError(forged)
    except ValueError:
        log.get("x").exception("failed")
    lines = capsys.readouterr().err.split("\n")
    assert not [line for line in lines if line.startswith("2026-01-01")]
    assert not set("".join(lines)) & set("\r\x1b\x9b\u2028\u2066")
    assert all(line.startswith(("{", "2", "    | ")) for line in lines if line)


def test_where_nobody_looks_there_are_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "human")
    log.get("x").info("said")
    assert "\x1b" not in capsys.readouterr().err
