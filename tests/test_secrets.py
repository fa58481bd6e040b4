"""No secret is committed: what detect-secrets finds was looked at and stands in the baseline, or the test fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_no_tracked_file_holds_a_secret_that_nobody_looked_at() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    ).stdout.split("\n")
    files = [name for name in tracked if name and not name.startswith("requirements/") and (ROOT / name).is_file()]
    hook = Path(sys.executable).with_name("detect-secrets-hook")
    done = subprocess.run(
        [hook, "--baseline", ".secrets.baseline", *files], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout


def test_dotenv_files_are_never_tracked() -> None:
    done = subprocess.run(["git", "check-ignore", ".env"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == ".env"
