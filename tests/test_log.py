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
