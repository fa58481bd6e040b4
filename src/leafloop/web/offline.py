"""What makes the pages an app that opens without a net: the manifest, the service worker, and the page for where there is no net.

The worker is one file, put together of the modules that the pages use too, since not every browser's workers take modules.
"""

from __future__ import annotations

import json
from functools import cache

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from leafloop.web import assets, visitors
from leafloop.web.contexts import OfflinePage
from leafloop.web.languages import gettext as _
from leafloop.web.languages import language
from leafloop.web.rendering import HEADERS, render

router = APIRouter(include_in_schema=False, dependencies=[Depends(visitors.PUBLIC)])

WORKER = ("store.js", "going.js", "sw.js")  # each may use what stands before it
# What reviewers alone need, what is the system's own to fetch, and the worker itself.
_NOT_OF_THE_SHELL = ("review", "icon-", "sw.js", "lost.svg")
ICONS = (
    ("icon-192.png", "192x192", "any"),
    ("icon-512.png", "512x512", "any"),
    ("icon-full.png", "512x512", "maskable"),
)
GREEN, GROUND = "#12563a", "#f3f6f0"  # of leafloop.css: --bar and --ground


@router.get("/manifest.webmanifest")
async def manifest() -> Response:
    """What an installed app is called and looks like."""
    icons = [
        {"src": assets.url(name), "sizes": sizes, "type": "image/png", "purpose": use} for name, sizes, use in ICONS
    ]
    said = {
        "id": "/",
        "name": "Leafloop",
        "short_name": "Leafloop",
        "description": _("Photograph a leaf and learn in a few seconds whether it is ill."),
        "lang": language(),
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "theme_color": GREEN,
        "background_color": GROUND,
        "icons": [{"src": assets.url("logo.svg"), "sizes": "any", "type": "image/svg+xml"}, *icons],
    }
    headers = {**HEADERS, "Cache-Control": "no-cache"}
    return JSONResponse(said, headers=headers, media_type="application/manifest+json")


@router.get("/sw.js")
async def worker() -> Response:
    """The service worker. A browser asks for it again at each visit, and takes the new one when a byte is another."""
    return Response(_worker(), media_type="text/javascript", headers={**HEADERS, "Cache-Control": "no-cache"})


@router.get("/offline")
async def offline_page() -> Response:
    """What is shown in the place of a page that needs a net. It is the same for everybody, so the worker may keep it."""
    return render(OfflinePage(visitor=visitors.seen_as(None)))


@cache
def _worker() -> bytes:
    files = [assets.url(name) for name in assets.all_assets() if not name.startswith(_NOT_OF_THE_SHELL)]
    shell = json.dumps({"version": assets.version(), "files": files})
    parts = [_as_script(assets.all_assets()[name].body.decode()) for name in WORKER]
    return "\n".join([f"const SHELL = {shell};", *parts]).encode()


def _as_script(module: str) -> str:
    """A module of ours as part of a plain script: what it takes from others stands before it already."""
    lines = (line.removeprefix("export ") for line in module.splitlines() if not line.startswith("import "))
    return "\n".join(lines)
