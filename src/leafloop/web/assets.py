"""The style sheet, scripts and icons, served under one content hash; knows files of this package, nobody else's.

The hash stands in the path (`/static/HASH/NAME`), so a browser may keep a file for ever and a new release is seen at once.
Relative imports between the scripts keep the hash.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
# The only kinds of file that are served; a file of another kind in the folder stops the start (`KeyError`).
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is and gzipped."""

    media_type: str
    body: bytes
    gzipped: bytes


@cache
def all_assets() -> dict[str, Asset]:
    """Every file of the static folder by its name, read once."""
    return {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.is_file()}


@cache
def version() -> str:
    """12 hex digits that change when any file changes."""
    digest = hashlib.sha256()
    for name, asset in all_assets().items():
        digest.update(name.encode() + b"\0" + asset.body + b"\0")
    return digest.hexdigest()[:12]


def url(name: str) -> str:
    """The path of a file for a template. Raises `KeyError` for a file that does not exist."""
    _ = all_assets()[name]
    return f"/static/{version()}/{name}"


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(_MEDIA_TYPES[path.suffix], body, gzip.compress(body, mtime=0))
