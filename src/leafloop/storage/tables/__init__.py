"""The tables: typed columns, and no logic that fetches. Knows no photo's pixels and nothing of HTTP.

The older system's four (`predictions`, `feedback`, `training_data`, `model_performance`) have its columns among ours, so that its
readers go on working.
"""

from leafloop.storage.tables.answers import IdempotencyKey, Photo, Prediction, Upload, UploadPiece
from leafloop.storage.tables.base import Base, UtcDateTime, new_id, now
from leafloop.storage.tables.datasets import (
    Import,
    PhotoSide,
    Snapshot,
    SnapshotPhoto,
    SplitGroup,
    Tombstone,
    TrainingData,
)
from leafloop.storage.tables.models import LiveModel, Model, ModelPerformance
from leafloop.storage.tables.people import ApiKey, AuditEntry
from leafloop.storage.tables.words import Feedback, Review, ReviewItem

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Base",
    "Feedback",
    "IdempotencyKey",
    "Import",
    "LiveModel",
    "Model",
    "ModelPerformance",
    "Photo",
    "PhotoSide",
    "Prediction",
    "Review",
    "ReviewItem",
    "Snapshot",
    "SnapshotPhoto",
    "SplitGroup",
    "Tombstone",
    "TrainingData",
    "Upload",
    "UploadPiece",
    "UtcDateTime",
    "new_id",
    "now",
]
