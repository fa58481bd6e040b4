"""Whether the process that made a claim still lives, as far as this machine can tell. Knows no ledger and no key.

A claim of a process that died has to wait for nobody. A token says where its process runs (this boot of this machine, this
namespace of process numbers) and which one it is (its number and when it started, since numbers come again). Of a process
elsewhere nothing can be told: its claims have a lease.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


def new_token() -> str:
    """A claim's token: nobody else's, and this process can be told from it. At most 64 characters."""
    number = os.getpid()
    return f"{_here()}:{number}:{_started(number)}:{secrets.token_hex(8)}"


def is_dead(token: str) -> bool:
    """Whether the process that made this token ran here and is gone. False wherever that cannot be known."""
    here, number, started, *_ = [*token.split(":"), "", ""]
    return here == _here() and number.isdecimal() and _started(int(number)) != started


@cache
def _here() -> str:
    try:
        place = (_PROC / "sys/kernel/random/boot_id").read_text("ascii") + str((_PROC / "self/ns/pid").readlink())
    except OSError:  # not Linux: then every process is elsewhere
        place = secrets.token_hex(16)
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def _started(number: int) -> str:
    """When a process began, in ticks since the boot (proc(5), field 22); empty if it is gone, or ended and not yet buried."""
    try:
        fields = (_PROC / str(number) / "stat").read_text("ascii", "replace").rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]
