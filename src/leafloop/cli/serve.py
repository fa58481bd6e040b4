"""`leafloop serve`: the service in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from leafloop import settings
from leafloop.cli.output import says_errors


@says_errors
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [LEAFLOOP_HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any free one [LEAFLOOP_PORT].")] = None,
) -> None:
    """Start the service and its pages. It stays in the foreground; Ctrl-C ends it after what is under way is answered, a second
    one at once."""
    from leafloop.cli import foreground  # the other commands need not wait a second for it

    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    foreground.run(settings.load().model_copy(update=given))
