"""What is kept about a photo: its row, its answer's row, and its place in the review queue, out of what was sent and said."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

import leafloop
from leafloop.learning.review import at_first_sight
from leafloop.live.serving import Live
from leafloop.live.submission import Sender, Submission
from leafloop.storage import predictions, tables
from leafloop.vision.photo import Photo
from leafloop.vision.reader import Reading


def record(
    session: Session,
    sent: Submission,
    sender: Sender,
    photo: Photo,
    live: Live,
    reading: Reading,
    body: dict[str, Any],
    *,
    random_share: float,
) -> None:
    """Write the rows, in the caller's transaction. The photo's bytes have to be in the object store already."""
    photo_row = _photo_row(sent, photo, reading)
    prediction = _prediction_row(photo_row.id, sent, sender, photo, live, reading, body)
    predictions.record_answer(session, photo_row, prediction)
    reliable = live.reader.bundle.manifest.thresholds.reliable
    at_first_sight.queue(session, prediction, reliable=reliable, random_share=random_share)


def _photo_row(sent: Submission, photo: Photo, reading: Reading) -> tables.Photo:
    """Nothing of the photo's own EXIF: what is known of place and time is what its sender said."""
    return tables.Photo(
        id=tables.new_id(),
        sha256=photo.sha256,
        stored_sha256=photo.kept.sha256,
        media_type=photo.kept.media_type,
        format=photo.format,
        bytes=len(photo.kept.data),
        width=photo.width,
        height=photo.height,
        file_name=sent.file_name,
        group=sent.group,
        captured_at=sent.captured_at,
        consent=sent.consent,
        likeness=reading.likeness,
    )


def _prediction_row(
    photo_id: str, sent: Submission, sender: Sender, photo: Photo, live: Live, reading: Reading, body: dict[str, Any]
) -> tables.Prediction:
    return tables.Prediction(
        id=body["prediction_id"],
        photo_id=photo_id,
        key_id=sender.key_id,
        user_id=sent.user_id,
        user_location=sent.user_location,
        source=sent.source,
        request_id=sent.request_id,
        image_path=photo.kept.sha256,
        image_size_kb=round(len(sent.data) / 1024, 1),
        image_width=photo.width,
        image_height=photo.height,
        image_hash=photo.sha256,
        outcome=body["outcome"],
        reliable=body["reliable"],
        predicted_class_id=body["class_id"],
        predicted_class_name=body["class_name"],
        confidence=body["confidence"],
        bbox_data=body["detections"],
        model_version=live.version,
        model_name=live.name,
        bundle_hash=live.bundle_hash,
        inference_time_ms=reading.timings_ms["infer"],
        answer=body,
        metadata_={
            "leafloop": leafloop.__version__,
            "precision": live.reader.precision,  # an answer computed again differs in the last digits at another one
            "tiles": [reading.tiles_looked_at, reading.tiles_in_all],
        },
    )
