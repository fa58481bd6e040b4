"""What every test may use. Whatever belongs to one part stands beside that part's tests."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

# Real PostgreSQL and S3 servers, and a real browser, started when a test first asks for one.
pytest_plugins = ["tests.servers", "tests.browser"]

# The same examples in every run, so that a change that breaks nothing fails nothing. To search on: --hypothesis-profile=default.
hypothesis.settings.register_profile("steady", derandomize=True)
hypothesis.settings.load_profile("steady")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real and hostile files beside the repository. A stranger has none: then the test skips."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the real photos of ../shared/data, which are not part of the repository")
    return folder
