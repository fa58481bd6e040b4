"""What people do, by the functions that do it: words, reviews, undos, corrections, imports, refusals, deletions, erasures, snapshots.

Pictures have numbers; one can be sent as it is, as a mirrored crop, and with other metadata, which changes its bytes and not its kept copy.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.learning.dataset_files import bring, write, yolo
from tests.learning.labelled import CLASSES, looks_like
from tests.learning.labelled import picture as pixels
from tests.learning.reviewed import ACCEPT, ANA, BEN, NO_LEAF, REJECT, SICKER, answered, decided, undone

from leafloop.errors import LeafloopError, SnapshotRejected
from leafloop.learning.datasets.intake import Place
from leafloop.learning.keeping import erasure
from leafloop.learning.labels import correcting
from leafloop.learning.review import worth
from leafloop.learning.review.deciding import Decision
from leafloop.learning.snapshots import building, manifest
from leafloop.learning.snapshots.building import Options
from leafloop.learning.words import feedback
from leafloop.learning.words.feedback import Author, Word
from leafloop.live import erasing, forgetting
from leafloop.live.parts import Store
from leafloop.storage import edits, predictions
from leafloop.storage.tables import Photo, Prediction, Tombstone, TrainingData

WORDS = {
    "right": Word(True),
    "sicker": Word(False, correct_class_name=SICKER),
    "no leaf": Word(False, correct_outcome="no_leaf"),
}
DECISIONS = {"accept": ACCEPT, "reject": REJECT, "no leaf": NO_LEAF, "sicker": Decision("correct", class_name=SICKER)}
PEOPLE = ("maria", "pedro")
OPTIONS = Options(allow_small=True, gate=None)  # the pictures are clouds, whose sharpness is no leaf's


@lru_cache(maxsize=256)
def jpeg(number: int, *, copy: bool = False) -> bytes:
    shown = pixels(number)
    out = io.BytesIO()
    Image.fromarray(shown[4:90, 6:92][:, ::-1] if copy else shown).convert("RGB").save(out, "JPEG", quality=95)
    return out.getvalue()


class World:
    """One sequence of doings, and what is checked after each snapshot."""

    def __init__(self, store: Store, place: Place, folder: Path) -> None:
        self.store, self.place, self.folder = store, place, folder
        self.number_of: dict[str, int] = {}  # hash of the bytes -> number of the picture
        self.side: dict[str, str] = {}  # of every photo that ever was in a snapshot
        self.snapshots = self.imports = 0

    def do(self, doing: tuple[str, ...]) -> None:
        kind, *rest = doing
        getattr(self, kind)(*rest)

    # People

    def send(self, number: int, copy: bool, exif: int, group: str | None, who: str, decision: str | None) -> None:
        """A photo is answered, and perhaps reviewed at once."""
        data = jpeg(number, copy=copy)
        received = f"exif {exif}" + data.hex()
        key = self.store.blobs.put(data)
        with self.store.ledger.transaction() as session:
            prediction = answered(session, received, user_id=who)
            photo = predictions.photo_of(session, prediction)
            photo.stored_sha256 = prediction.image_path = key
            photo.group, photo.likeness = group, looks_like(number, copy=copy)
            erasing.keep_object(session, self.store.blobs, data, key)
            self.number_of[prediction.image_hash] = number
            if decision is not None:
                self._review(session, prediction, decision)

    def say(self, which: int, who: str, word: str) -> None:
        self._with_answer(which, lambda s, p: feedback.submit(s, CLASSES, p, Author("phonefon", who), WORDS[word]))

    def review(self, which: int, decision: str) -> None:
        self._with_answer(which, lambda session, prediction: self._review(session, prediction, decision))

    def _review(self, session: Session, prediction: Prediction, decision: str) -> None:
        item = worth.enqueue(session, prediction.id, [worth.Reason("random")])
        assert item is not None
        decided(session, ANA, item, DECISIONS[decision])

    def undo(self) -> None:
        with suppress(LeafloopError), self.store.ledger.transaction() as session:
            undone(session, ANA)

    def regroup(self, which: int, group: str) -> None:
        """The plant of a photo is set right."""
        with suppress(LeafloopError), self.store.ledger.transaction() as session:
            labels = session.scalars(select(TrainingData).order_by(TrainingData.image_hash)).all()
            if labels:
                correcting.correct(session, CLASSES, labels[which % len(labels)], {"group": group}, BEN)

    def refuse(self, which: int) -> None:
        self._with_answer(which, lambda s, p: edits.edit(s, p, {"consent": False}, actor="test"))

    def delete(self, which: int) -> None:
        gone: list[str] = []

        def of(session: Session, prediction: Prediction) -> None:
            deletion = predictions.delete(session, prediction.id)
            assert deletion is not None
            gone.extend(deletion.objects)

        self._with_answer(which, of)
        erasing.remove_objects(self.store.ledger, self.store.blobs, gone)

    def erase(self, who: str) -> None:
        with self.store.ledger.reading() as session:
            person = erasure.person(session, who, None, every_key=True)
        forgetting.erase(self.store, person, reason="request 17")

    def _with_answer(self, which: int, do: Callable[[Session, Prediction], object]) -> None:
        with suppress(LeafloopError), self.store.ledger.transaction() as session:
            answers = session.scalars(select(Prediction).order_by(Prediction.timestamp)).all()
            if answers:
                do(session, answers[which % len(answers)])

    # Datasets

    def bring(self, photos: list[tuple[int, str, str]], keep: bool, replace: bool) -> None:
        """A small dataset, on its own sides: photos by number, their sides, and what their names end in."""
        self.imports += 1
        names = {f"{side}/leaf{number % 3}{end}": number for number, side, end in photos}
        files = yolo(dict.fromkeys(names, "1 0.5 0.5 0.2 0.2\n"))
        for name, number in names.items():
            side, stem = name.split("/")
            files[f"{side}/images/{stem}.jpg"] = data = jpeg(number)
            self.number_of[hashlib.sha256(data).hexdigest()] = number
        folder = write(self.folder / f"set {self.imports}", files)
        bring(self.place, folder, classes=CLASSES, name="set", keep_splits=keep, replace=replace)

    # Snapshots

    def snapshot(self) -> None:
        try:
            made = building.make(self.store.ledger, self.store.blobs, CLASSES, OPTIONS, actor="test")
        except SnapshotRejected:
            return
        self.snapshots += 1
        lines = list(manifest.read_photos(self.store.blobs, made.hash))
        for line in lines:
            assert self.side.setdefault(line["sha256"], line["split"]) == line["split"]
        with self.store.ledger.reading() as session:
            words = dict(session.execute(select(TrainingData.image_hash, TrainingData.group)).all())
            refused = set(session.scalars(select(Photo.stored_sha256).where(Photo.consent.is_(False))))
            gone = set(session.scalars(select(Tombstone.image_hash)))
        assert {line["sha256"] for line in lines} <= words.keys() - gone
        assert not refused & {line["stored_sha256"] for line in lines}
        for name, link in {
            "words": lambda line: words[line["sha256"]],
            "picture": lambda line: self.number_of[line["sha256"]],
            "kept copy": lambda line: line["stored_sha256"],
            "group": lambda line: line["group"],
        }.items():
            sides: dict[object, set[str]] = {}
            for line in lines:
                if (linked := link(line)) is not None:
                    sides.setdefault(linked, set()).add(line["split"])
            assert all(len(each) == 1 for each in sides.values()), (name, sides)
