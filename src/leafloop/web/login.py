"""The login page: a key becomes a signed cookie, and ends again. Which keys and cookies count is `access.py`'s to say."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from leafloop import access
from leafloop.access import Caller
from leafloop.crossing import in_thread
from leafloop.errors import AccessError, KeyInvalid
from leafloop.web import problems, visitors
from leafloop.web.contexts import LoginPage
from leafloop.web.rendering import HEADERS, render

router = APIRouter(include_in_schema=False)

# Where a login may lead: a path of ours. `//host` and `/\host` would leave the site.
_OUR_PATH = re.compile(r"/(?:[A-Za-z0-9-][A-Za-z0-9/-]*)?", re.ASCII)
MAX_KEY = 256  # characters; the longest key has 140


@router.get("/login", dependencies=[Depends(visitors.PUBLIC)])
async def login_page(request: Request, following: str = "/") -> Response:
    """The form. Its script takes a key that came by QR code from behind the address's `#`, which never reaches a server."""
    caller = await _known(request)
    if caller is not None and caller.open:
        return RedirectResponse("/", 303, HEADERS)
    return render(LoginPage(visitor=visitors.seen_as(caller), following=_ours(following), problem=None))


@router.post("/login", dependencies=[Depends(visitors.PUBLIC)])
async def log_in(request: Request) -> Response:
    """Check the key and set the cookie."""
    parts = request.app.state.parts
    form = await request.form(max_files=0, max_fields=4)
    following = _ours(str(form.get("following", "/")))
    try:
        caller, value = await in_thread(request, access.log_in, parts, str(form.get("key", ""))[:MAX_KEY])
    except KeyInvalid as error:
        problem = problems.login_refused(error.detail)
        return render(LoginPage(visitor=visitors.seen_as(None), following=following, problem=problem), 401)
    request.state.key_id = caller.key_id
    response = RedirectResponse(following, 303, HEADERS)
    response.set_cookie(value=value, **access.cookie_options(parts.settings))
    return response


@router.post("/logout")
async def log_out(request: Request, caller: Annotated[Caller, Depends(visitors.FIELD)]) -> Response:
    """End this login here and everywhere a copy of its cookie is kept."""
    parts = request.app.state.parts
    await in_thread(request, access.log_out, parts, caller)
    response = RedirectResponse("/login", 303, HEADERS)
    options = access.cookie_options(parts.settings)
    response.delete_cookie(**{name: options[name] for name in ("key", "path", "secure", "httponly", "samesite")})
    # The browser forgets pages and photos that it kept for this person: the next one may use the same phone.
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


async def _known(request: Request) -> Caller | None:
    try:
        return await visitors.who(request)
    except AccessError:
        return None


def _ours(path: str) -> str:
    return path if _OUR_PATH.fullmatch(path) else "/"
