"""A ledger full of labels without a service: photos are noise, which is like nothing, and their likenesses are real ones."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from sqlalchemy.orm import Session

from leafloop import taxonomy
from leafloop.learning.snapshots import building
from leafloop.learning.snapshots.building import Made, Options
from leafloop.storage.blobs import BlobStore, open_blobs
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Photo, Tombstone, TrainingData
from leafloop.vision import likeness

CLASSES = taxonomy.load()
NAMES = CLASSES.class_names
SMALL = Options(allow_small=True)


def hash_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@lru_cache(maxsize=4096)
def picture(seed: int) -> npt.NDArray[np.uint8]:
    """Clouds: as much structure at every scale, as photos have."""
    rng = np.random.default_rng([77, seed])
    layers = [
        cv2.resize(rng.normal(size=(side, side)), (96, 96), interpolation=cv2.INTER_CUBIC) for side in (3, 6, 12, 24)
    ]
    mixed = sum(layer / (number + 1) for number, layer in enumerate(layers))
    return np.clip(127 + 40 * mixed, 0, 255).astype(np.uint8)


@lru_cache(maxsize=4096)
def looks_like(seed: int, *, copy: bool = False) -> bytes:
    """The likeness of picture `seed`, or of a mirrored crop of it."""
    shown = picture(seed)
    return likeness.of(np.ascontiguousarray(shown[4:90, 6:92][:, ::-1]) if copy else shown)


@dataclass
class Labelled:
    """A ledger and a store with labels in them."""

    ledger: Ledger
    blobs: BlobStore
    names: dict[str, str] = field(default_factory=dict)  # image hash -> the name it was added by

    def add(
        self,
        name: str,
        klass: int | None = 1,
        *,
        seed: int | None = None,
        copy: bool = False,
        within: Session | None = None,
        **changes: Any,
    ) -> str:
        """A label and its photo's row; the hash of the photo."""
        image_hash = hash_of(name)
        self.names[image_hash] = name
        stored = changes.pop("stored", hash_of(f"stored {name}"))
        consent = changes.pop("consent", None)
        shown = int(image_hash[:8], 16) if seed is None else seed
        box = {
            "class_id": klass,
            "class_name": NAMES[klass or 0],
            "bbox": {"x1": 1.0, "y1": 2.5, "x2": 30.25, "y2": 40.0},
        }
        values: dict[str, Any] = {
            "id": hash_of(f"id {name}")[:36], "image_hash": image_hash, "image_path": stored, "name": f"{name}.jpg", "width": 96,
            "height": 96, "outcome": "diseased" if klass else "healthy", "class_id": klass,
            "class_name": None if klass is None else NAMES[klass], "strength": "strong",
            "bbox_data": [box] if klass else [], "source": "feedback", "source_id": f"review-{name}"[:64],
            "feedback_ids": [f"word-{name}"], "user_id": name, "is_validated": True,
        }  # fmt: skip
        with self.ledger.transaction() if within is None else nullcontext(within) as session:
            photo = Photo(
                id=hash_of(f"photo {name}")[:36], sha256=image_hash, stored_sha256=stored, media_type="image/jpeg",
                format="jpeg", bytes=10, width=96, height=96, consent=consent, likeness=looks_like(shown, copy=copy),
            )  # fmt: skip
            session.add(photo)
            session.flush()
            session.add(TrainingData(**{**values, "photo_id": photo.id, **changes}))
        return image_hash

    def many(self, count: int, prefix: str = "p", *, classes: int = 3, **changes: Any) -> list[str]:
        with self.ledger.transaction() as session:
            return [self.add(f"{prefix}{n}", 1 + n % classes, within=session, **changes) for n in range(count)]

    def change(self, image_hash: str, **values: Any) -> None:
        with self.ledger.transaction() as session:
            label = session.query(TrainingData).filter_by(image_hash=image_hash).one()
            for name, value in values.items():
                setattr(label, name, value)
            label.revision += 1

    def erase(self, image_hash: str) -> None:
        """As erasing for good does it: label and photo go, a tombstone stays."""
        with self.ledger.transaction() as session:
            label = session.query(TrainingData).filter_by(image_hash=image_hash).one()
            session.add(Tombstone(image_hash=image_hash, stored_sha256=label.image_path, reason="asked", actor="test"))
            session.delete(label)
            session.query(Photo).filter_by(sha256=image_hash).delete()

    def make(self, options: Options = SMALL, **how: Any) -> Made:
        return building.make(self.ledger, self.blobs, CLASSES, options, actor="test", **how)

    def lines(self, made: Made) -> dict[str, dict[str, Any]]:
        """The photos of a snapshot by the name they were added by."""
        from leafloop.learning.snapshots import manifest

        return {self.names[line["sha256"]]: line for line in manifest.read_photos(self.blobs, made.hash)}

    def sides(self, made: Made) -> dict[str, str]:
        return {name: line["split"] for name, line in self.lines(made).items()}


def labelled(url: str, folder: Path) -> Labelled:
    """An empty one."""
    ledger = Ledger(url)
    ledger.upgrade()
    return Labelled(ledger, open_blobs((folder / "blobs").as_uri()))
