"""On what and with what was measured: figures of another machine, or of a busy one, are other figures."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# What decides how fast the work can be done on an x86 or an Arm processor.
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm", "sve")


def facts() -> dict[str, Any]:
    """`load_before`: the system's load average as the run begins; above a few tenths, others were at work."""
    lines = [line.split(":", 1) for line in _cpuinfo() if ":" in line]
    told = {key.strip(): value.strip() for key, value in lines}
    flags = set(told.get("flags", told.get("Features", "")).split())
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": told.get("model name", platform.machine()),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return []
