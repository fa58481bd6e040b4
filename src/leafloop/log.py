"""How Leafloop logs: one line an event on stderr, JSON or for people, with the request's id; knows nobody.

A line's fields: `timestamp` (UTC, ISO 8601), `level`, `event` (a short fixed phrase), `logger`, and what belongs to the event
(`request_id`, `route`, `status`, `ms`, ...). No key, no photo, no EXIF and no body is ever logged.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160), 0x2028, 0x2029, 0x202E)}


def _no_forged_lines(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters in every text, so that nobody writes a second line or paints the terminal."""
    return {k: v.translate(_CONTROL) if isinstance(v, str) and k != "exception" else v for k, v in event.items()}


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
    last: Processor = (
        structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
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
