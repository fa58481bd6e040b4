"""How Leafloop logs: one line an event on stderr, JSON or for people, with the request's id; knows nobody.

A line's fields: `timestamp` (UTC, ISO 8601), `level`, `event` (a short fixed phrase), `logger`, and what belongs to the event
(`request_id`, `route`, `status`, `ms`, ...). No key, no photo, no EXIF and no body is ever logged.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# Control characters, other breaks of a line, and what turns the direction of writing: whole lines can be painted with these.
_UNSEEN = (*range(32), *range(127, 160), 0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_CONTROL = {code: f"\\x{code:02x}" for code in _UNSEEN}
_IN_A_TRACE = {code: text for code, text in _CONTROL.items() if code != ord("\n")}


def _no_forged_lines(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters in every text, so that nobody writes a second line or paints the terminal."""
    return {name: _escaped(value, _IN_A_TRACE if name == "exception" else _CONTROL) for name, value in event.items()}


def _escaped(value: Any, table: dict[int, str]) -> Any:
    if isinstance(value, str):
        return value.translate(table)
    if isinstance(value, dict):
        return {_escaped(key, table): _escaped(inner, table) for key, inner in value.items()}
    return [_escaped(inner, table) for inner in value] if isinstance(value, list | tuple) else value


def _inset(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A trace takes several lines for people: none of them can be taken for an event of its own."""
    if "exception" in event:
        event["exception"] = "    | " + event["exception"].replace("\n", "\n    | ")
    return event


def set_up(level: str = "INFO", form: str = "auto") -> None:
    """Send structlog and the standard library's loggers to stderr in one form (`json`, `human`, or `auto` by the terminal)."""
    human = form == "human" or (form == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _no_forged_lines,
    ]
    last: list[Processor] = (
        [_inset, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if human
        else [structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # through the root handler, in our form
        logging.getLogger(noisy).handlers.clear()
        logging.getLogger(noisy).propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # the request log line is ours, with the request id


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: `log = log.get(__name__)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
