"""Resolve requirements/*.txt from pyproject.toml, with hashes and without any index's address. `make requirements` runs it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = {"serve.txt": [], "test.txt": ["--extra", "test"]}


def resolve(name: str, extras: list[str]) -> None:
    """Write one file. `uv` is used since it resolves for every platform at once."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--universal", "--generate-hashes"]
    quiet = [
        "--no-header",
        "--no-annotate",
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--quiet",
        "--python-version",
        "3.11",
    ]
    target = ROOT / "requirements" / name
    subprocess.run([*command, *quiet, *extras, "--output-file", str(target)], cwd=ROOT, check=True)


if __name__ == "__main__":
    if importlib.util.find_spec("uv") is None:
        sys.exit(
            f"Nothing was resolved, since {sys.executable} has no uv. Install it there: pip install uv. Then try again."
        )
    for file, extra in FILES.items():
        resolve(file, extra)
        print(f"requirements/{file}")
