"""Draws the app's icons out of its logo, in a real Chromium: `python scripts/icons.py`, after the logo has changed.

Writes icon-192.png and icon-512.png (as the logo is), and icon-full.png, whose ground reaches every edge so that a phone may
cut any shape out of it.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

STATIC = Path(__file__).resolve().parent.parent / "src" / "leafloop" / "web" / "static"
COLOURS = 32  # of a drawing with three, and the steps between them at its edges


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    logo = (STATIC / "logo.svg").read_text("utf-8")
    # The part in the middle that no shape cuts off is a circle of 80 % (W3C manifest, "maskable"), so the leaf is drawn smaller.
    full = logo.replace('rx="8"', "").replace('viewBox="0 0 32 32"', 'viewBox="-3 -3 38 38"')
    full = full.replace('<rect width="32" height="32"', '<rect x="-3" y="-3" width="38" height="38"')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, drawing, side in (("icon-192", logo, 192), ("icon-512", logo, 512), ("icon-full", full, 512)):
            page = browser.new_page(viewport={"width": side, "height": side})
            page.set_content(f"<style>body{{margin:0}}svg{{display:block;width:100vw}}</style>{drawing}")
            shot = Image.open(io.BytesIO(page.screenshot(omit_background=True)))
            shot.quantize(COLOURS, method=Image.Quantize.FASTOCTREE).save(STATIC / f"{name}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
