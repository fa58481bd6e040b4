"""Rows as people's doings leave them: photos with answers, words, labels, snapshots. Written with the tables alone."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from leafloop import taxonomy
from leafloop.live import erasing
from leafloop.live.parts import Store
from leafloop.settings import Settings
from leafloop.storage import predictions, tables
from leafloop.storage.blobs import LocalBlobs
from leafloop.storage.ledger import Ledger

ANA = ("fekey123", "ana.cruz")
BEN = ("fekey123", "ben.reyes")
Author = tuple[str | None, str | None]


def store_at(url: str, folder: Path, **settings: Any) -> Store:
    """A store without a model, its schema made."""
    ledger = Ledger(url)
    if ledger.is_empty():
        ledger.upgrade()
    told = Settings(home=folder / "home", **settings)
    return Store(told, taxonomy.load(), ledger, LocalBlobs(folder / "blobs"))


def with_settings(store: Store, **settings: Any) -> Store:
    """The same store under other settings."""
    return Store(store.settings.model_copy(update=settings), store.taxonomy, store.ledger, store.blobs)


def received(data: bytes) -> str:
    """The hash of the bytes received: not that of the kept copy, as with a photo that carried a position."""
    return hashlib.sha256(b"exif" + data).hexdigest()


def send(store: Store, data: bytes, author: Author = ANA, at: datetime | None = None, **more: Any) -> str:
    """A photo is answered; the answer's id."""
    key = store.blobs.put(data)
    photo = tables.Photo(
        id=tables.new_id(), sha256=received(data), stored_sha256=key, media_type="image/jpeg", format="jpeg", bytes=len(data),
        width=640, height=480, created_at=at or tables.now(), group=f"{author[1]}'s plot",
    )  # fmt: skip
    prediction = tables.Prediction(
        photo_id=photo.id, key_id=author[0], user_id=author[1], user_location=f"{author[1]}'s farm", source="api", image_path=key,
        image_size_kb=2.0, image_width=640, image_height=480, image_hash=photo.sha256, outcome="diseased", reliable=True,
        predicted_class_id=3, predicted_class_name="C3", confidence=0.8, bbox_data=[], model_version="1", model_name="tiny",
        bundle_hash="c" * 64, inference_time_ms=1.0, timestamp=at or tables.now(), answer={"user_id": author[1]}, **more,
    )  # fmt: skip
    with store.ledger.transaction() as session:
        erasing.keep_object(session, store.blobs, data, key)
        predictions.record_answer(session, photo, prediction)
        claim = {"scope": author[0] or "open", "key": prediction.id, "fingerprint": "f", "claim_token": "t"}
        session.add(tables.IdempotencyKey(**claim, prediction_id=prediction.id, answer={"user_id": author[1]}))
        return prediction.id


def say(store: Store, prediction_id: str, author: Author = ANA, **more: Any) -> str:
    """A word is said of an answer; its id."""
    word = tables.Feedback(
        prediction_id=prediction_id, key_id=author[0], user_id=author[1], is_correct=False, feedback_source="api",
        user_comment=f"so says {author[1]}", **more,
    )  # fmt: skip
    with store.ledger.transaction() as session:
        session.add(word)
        session.flush()
        return word.id


def label(store: Store, prediction_id: str, reviewer: str = "olga", at: datetime | None = None, **more: Any) -> str:
    """A reviewer decides on an answer, which makes its photo's label unless it has one; the label's id."""
    with store.ledger.transaction() as session:
        answer = session.get_one(tables.Prediction, prediction_id)
        item = session.scalar(select(tables.ReviewItem).where(tables.ReviewItem.prediction_id == prediction_id))
        if item is None:
            item = tables.ReviewItem(prediction_id=prediction_id, priority=1.0, reasons=[])
            session.add(item)
        item.state, item.decided_at = "done", tables.now()
        session.flush()
        review = tables.Review(
            item_id=item.id, prediction_id=prediction_id, key_id="reviewer", reviewer=reviewer, decision="accept",
            comment=f"so sees {reviewer}",
        )  # fmt: skip
        session.add(review)
        session.flush()
        there = session.scalar(select(tables.TrainingData).where(tables.TrainingData.image_hash == answer.image_hash))
        if there is not None:
            return there.id
        made = tables.TrainingData(
            photo_id=answer.photo_id, image_path=answer.image_path, image_hash=answer.image_hash, source="feedback",
            source_id=review.id, key_id=answer.key_id, user_id=answer.user_id, is_validated=True, validated_by=reviewer,
            class_id=3, class_name="C3", outcome="diseased", added_date=at or tables.now(), **more,
        )  # fmt: skip
        session.add(made)
        session.flush()
        return made.id


def bring(store: Store, data: bytes, at: datetime | None = None) -> str:
    """A photo comes with an imported dataset, by nobody; the label's id."""
    key = store.blobs.put(data)
    with store.ledger.transaction() as session:
        there = session.scalar(select(tables.TrainingData).where(tables.TrainingData.image_hash == received(data)))
        if there is not None:
            return there.id
        erasing.keep_object(session, store.blobs, data, key)
        photo = tables.Photo(
            id=tables.new_id(), sha256=received(data), stored_sha256=key, media_type="image/jpeg", format="jpeg",
            bytes=len(data), width=640, height=480, created_at=at or tables.now(),
        )  # fmt: skip
        session.add(photo)
        session.flush()
        made = tables.TrainingData(
            photo_id=photo.id, image_path=key, image_hash=received(data), source="import", source_id="set", is_validated=True,
            class_id=3, class_name="C3", outcome="diseased", added_date=at or tables.now(),
        )  # fmt: skip
        session.add(made)
        session.flush()
        return made.id


def freeze(store: Store) -> str | None:
    """A snapshot of all labels there are; its hash, None without any. Its manifest is an object, and names photos by hash alone."""
    with store.ledger.transaction() as session:
        rows = session.scalars(select(tables.TrainingData).order_by(tables.TrainingData.image_hash)).all()
        rows = [row for row in rows if row.is_validated]
        if not rows:
            return None
        manifest = "\n".join(f"{row.image_hash} {row.image_path} {row.class_name}" for row in rows).encode()
        name = store.blobs.put(manifest)
        if session.get(tables.Snapshot, name) is not None:
            return name
        facts: dict[str, Any] = {"photos": len(rows), "splits": {}, "options": {}, "report": {}, "parts": []}
        session.add(tables.Snapshot(hash=name, actor="cli", **facts))
        for row in rows:
            if session.get(tables.SplitGroup, row.image_hash) is None:
                session.add(tables.SplitGroup(id=row.image_hash, split="train"))
        session.flush()
        for row in rows:
            if session.get(tables.PhotoSide, row.image_hash) is None:
                session.add(tables.PhotoSide(image_hash=row.image_hash, group_id=row.image_hash, split="train"))
        session.flush()
        for row in rows:
            where = {"snapshot_hash": name, "image_hash": row.image_hash, "stored_sha256": row.image_path}
            session.add(tables.SnapshotPhoto(**where, group_id=row.image_hash, split="train"))
        return name


def count(store: Store, table: type[tables.Base]) -> int:
    with store.ledger.reading() as session:
        return len(session.scalars(select(table)).all())


def everything(store: Store) -> str:
    """All that the database holds, as text."""
    with store.ledger.reading() as session:
        return "\n".join(
            repr(tuple(row)) for table in tables.Base.metadata.sorted_tables for row in session.execute(select(table))
        )


def objects(store: Store) -> list[bytes]:
    """What the object store holds."""
    return sorted(store.blobs.get(stored.name) for stored in store.blobs.objects())
