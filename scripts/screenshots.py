"""Makes the screenshots of the documentation: a fresh service in a temporary home, a real Chromium, one photo.

    python scripts/screenshots.py examples/leaf.jpg docs/images [--chromium /usr/bin/chromium]

Writes field, answer and answers, each as phone-light, phone-dark and desktop-light PNG.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
LOOKS = {
    "phone-light": {**PHONE, "color_scheme": "light"},
    "phone-dark": {**PHONE, "color_scheme": "dark"},
    "desktop-light": {**DESKTOP, "color_scheme": "light"},
}
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
)
START_S = 60


@contextmanager
def service(home: Path) -> Iterator[str]:
    """The address of a service of its own."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environ = {k: v for k, v in os.environ.items() if not k.startswith("LEAFLOOP_")}
    environ |= {"LEAFLOOP_HOME": str(home), "LEAFLOOP_PORT": str(port), "LEAFLOOP_LOG_LEVEL": "WARNING"}
    process = subprocess.Popen([sys.executable, "-m", "leafloop", "serve"], env=environ, stdout=subprocess.DEVNULL)
    try:
        _wait(f"{address}/ready", process)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    sys.exit("the service did not start")


def take(browser: Browser, address: str, photo: Path, look: str, out: Path) -> None:
    """The three pages in one look."""
    context = browser.new_context(locale="en-GB", **LOOKS[look])
    page = context.new_page()
    page.goto(address)
    page.screenshot(path=out / f"field-{look}.png")
    page.set_input_files("#choose", photo)
    page.get_by_role("button", name="Send this photo").click()
    page.wait_for_selector("[data-answer]")
    page.screenshot(path=out / f"answer-{look}.png", full_page=True)
    page.goto(f"{address}/answers", wait_until="networkidle")
    page.screenshot(path=out / f"answers-{look}.png")
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, service(Path(home)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=list(QUIET))
        for look in LOOKS:
            take(browser, address, given.photo, look, given.out)
        browser.close()
    print(f"{3 * len(LOOKS)} pictures in {given.out}")


if __name__ == "__main__":
    main()
