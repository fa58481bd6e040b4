"""How good a photo is to judge a leaf on, and what the person can do about it; refuses nothing and knows no model.

Everything is measured on the photo with its long side at 512 pixels, so that a big and a small copy of it measure alike.
The limits were set on 520 real photos (300 of banana leaves, 220 of other crops): each says how those measure.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2

from leafloop.vision.leaf import Overview

MIN_SHARPNESS = 12.0  # real photos: 13 to 3,244, median 250; blurred by 4 pixels of 512: 1 to 15, most under 4
MAX_SHARPNESS = 10_000.0  # three times the sharpest real photo; random noise has 56,000
MIN_BRIGHTNESS = 45.0  # grey levels 0-255; real photos: 58 to 189
MAX_BRIGHTNESS = 220.0
MIN_LEAF = 0.05  # of the frame; real photos: 0.22 to 1
MIN_SIDE = 256  # pixels of the short side: one tile, which is the least that the model looks at

# One place for all words, plain constants, so that they can be translated.
MESSAGES = {
    "too_dark": "Too dark: turn so that the light falls on the leaf.",
    "too_bright": "Too bright: turn away from the sun, or shade the leaf with your hand or hat.",
    "blurred": "Blurred: hold still, tap on the leaf to focus, and take the photo again.",
    "noisy": "Very grainy: wipe the lens and take the photo in better light.",
    "no_leaf": "No leaf seen: hold the camera closer, so that one leaf fills most of the photo.",
    "small": "Small picture: send the photo in its original size, so that small spots can be seen.",
}

# Those with which a photo gets no verdict; the others are advice.
USELESS = frozenset({"too_dark", "too_bright", "blurred", "noisy"})


def score_of(codes: Collection[str]) -> float:
    """How good a picture is to learn from, by its warnings: 1 nothing against it, 0.5 advice, 0 too poor to judge a leaf on."""
    warned = set(codes) - {"no_leaf"}  # this is no fault of a picture
    return 0.0 if warned & USELESS else 0.5 if warned else 1.0


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 (the field's word; nobody raises Python's own in here)
    """One thing that is wrong with a photo. `code`: a key of MESSAGES, stable; `message`: words for the person."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Quality:
    """sharpness: variance of the Laplacian (Pech-Pacheco et al. 2000) of grey levels. brightness: mean grey level, 0-255.

    leaf_fraction: how much of the frame can be leaf, 0-1 (see leaf.py). width, height: pixels of the upright photo.
    """

    sharpness: float
    brightness: float
    leaf_fraction: float
    width: int
    height: int
    warnings: tuple[Warning, ...]


def measure(seen: Overview) -> Quality:
    """Measure a photo by what is seen of it at a glance."""
    grey = cv2.cvtColor(seen.small, cv2.COLOR_RGB2GRAY)
    sharpness = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    brightness = float(grey.mean())
    leaf_fraction = float(seen.mask.mean())
    wrong = {
        "too_dark": brightness < MIN_BRIGHTNESS,
        "too_bright": brightness > MAX_BRIGHTNESS,
        "blurred": sharpness < MIN_SHARPNESS,
        "noisy": sharpness > MAX_SHARPNESS,
        "no_leaf": leaf_fraction < MIN_LEAF,
        "small": min(seen.width, seen.height) < MIN_SIDE,
    }
    warnings = tuple(Warning(code, MESSAGES[code]) for code, found in wrong.items() if found)
    return Quality(sharpness, brightness, leaf_fraction, seen.width, seen.height, warnings)
