"""The first schema: the older system's four tables with its columns, keys, audit log, models and the pointer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PLAIN_DATA = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=8), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", PLAIN_DATA, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.create_index("ix_audit_log_action_subject", ["action", "subject"], unique=False)

    op.create_table(
        "idempotency_keys",
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("claim_token", sa.String(length=64), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prediction_id", sa.String(length=36), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", PLAIN_DATA, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name=op.f("pk_idempotency_keys")),
    )
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_keys_prediction_id"), ["prediction_id"], unique=False)

    op.create_table(
        "model_performance",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("model_version", sa.String(length=32), nullable=False),
        sa.Column("model_name", sa.String(length=64), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("total_predictions", sa.Integer(), nullable=False),
        sa.Column("total_feedback", sa.Integer(), nullable=False),
        sa.Column("correct_predictions", sa.Integer(), nullable=False),
        sa.Column("incorrect_predictions", sa.Integer(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=True),
        sa.Column("class_metrics", PLAIN_DATA, nullable=True),
        sa.Column("avg_confidence", sa.Double(), nullable=True),
        sa.Column("avg_confidence_correct", sa.Double(), nullable=True),
        sa.Column("avg_confidence_incorrect", sa.Double(), nullable=True),
        sa.Column("calculated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_performance")),
        sa.UniqueConstraint(
            "model_version", "model_name", "date", name=op.f("uq_model_performance_model_version_model_name_date")
        ),
    )
    op.create_table(
        "models",
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("bundle_hash", sa.String(length=64), nullable=False),
        sa.Column("licence", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("manifest", PLAIN_DATA, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_models")),
        sa.UniqueConstraint("bundle_hash", name=op.f("uq_models_bundle_hash")),
    )
    op.create_table(
        "photos",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("stored_sha256", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.String(length=32), nullable=False),
        sa.Column("format", sa.String(length=8), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=True),
        sa.Column("group", sa.String(length=200), nullable=True),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consent", sa.Boolean(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_photos")),
    )
    with op.batch_alter_table("photos", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_photos_group"), ["group"], unique=False)
        batch_op.create_index(batch_op.f("ix_photos_sha256"), ["sha256"], unique=False)
        batch_op.create_index(batch_op.f("ix_photos_stored_sha256"), ["stored_sha256"], unique=False)

    op.create_table(
        "training_data",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("image_path", sa.String(length=200), nullable=False),
        sa.Column("image_hash", sa.String(length=64), nullable=False),
        sa.Column("class_id", sa.Integer(), nullable=True),
        sa.Column("class_name", sa.String(length=64), nullable=True),
        sa.Column("bbox_data", PLAIN_DATA, nullable=True),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("source_id", sa.String(length=64), nullable=True),
        sa.Column("quality_score", sa.Double(), nullable=True),
        sa.Column("blur_score", sa.Double(), nullable=True),
        sa.Column("brightness_score", sa.Double(), nullable=True),
        sa.Column("is_validated", sa.Boolean(), nullable=False),
        sa.Column("validated_by", sa.String(length=200), nullable=True),
        sa.Column("validated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dataset_split", sa.String(length=8), nullable=True),
        sa.Column("added_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("metadata", PLAIN_DATA, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_data")),
        sa.UniqueConstraint("image_hash", name=op.f("uq_training_data_image_hash")),
    )
    with op.batch_alter_table("training_data", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_training_data_class_name"), ["class_name"], unique=False)
        batch_op.create_index(batch_op.f("ix_training_data_dataset_split"), ["dataset_split"], unique=False)
        batch_op.create_index(batch_op.f("ix_training_data_source"), ["source"], unique=False)

    op.create_table(
        "live_models",
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("previous_version", sa.String(length=32), nullable=True),
        sa.Column("pointer_version", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["models.version"], name=op.f("fk_live_models_version_models")),
        sa.PrimaryKeyConstraint("role", name=op.f("pk_live_models")),
    )
    op.create_table(
        "predictions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("photo_id", sa.String(length=36), nullable=False),
        sa.Column("key_id", sa.String(length=8), nullable=True),
        sa.Column("user_id", sa.String(length=200), nullable=True),
        sa.Column("user_location", sa.String(length=200), nullable=True),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("image_path", sa.String(length=200), nullable=False),
        sa.Column("image_size_kb", sa.Double(), nullable=False),
        sa.Column("image_width", sa.Integer(), nullable=False),
        sa.Column("image_height", sa.Integer(), nullable=False),
        sa.Column("image_hash", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reliable", sa.Boolean(), nullable=False),
        sa.Column("predicted_class_id", sa.Integer(), nullable=True),
        sa.Column("predicted_class_name", sa.String(length=64), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("bbox_data", PLAIN_DATA, nullable=False),
        sa.Column("model_version", sa.String(length=32), nullable=False),
        sa.Column("model_name", sa.String(length=64), nullable=False),
        sa.Column("bundle_hash", sa.String(length=64), nullable=False),
        sa.Column("inference_time_ms", sa.Double(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer", PLAIN_DATA, nullable=False),
        sa.Column("metadata", PLAIN_DATA, nullable=True),
        sa.CheckConstraint(
            "outcome IN ('diseased', 'healthy', 'uncertain', 'no_leaf')", name=op.f("ck_predictions_outcome")
        ),
        sa.ForeignKeyConstraint(["photo_id"], ["photos.id"], name=op.f("fk_predictions_photo_id_photos")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_predictions")),
    )
    with op.batch_alter_table("predictions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_predictions_key_id"), ["key_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_predictions_model_version"), ["model_version"], unique=False)
        batch_op.create_index(batch_op.f("ix_predictions_photo_id"), ["photo_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_predictions_predicted_class_name"), ["predicted_class_name"], unique=False)
        batch_op.create_index("ix_predictions_timestamp_id", ["timestamp", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_predictions_user_id"), ["user_id"], unique=False)

    op.create_table(
        "feedback",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("is_correct", sa.Boolean(), nullable=False),
        sa.Column("correct_class_id", sa.Integer(), nullable=True),
        sa.Column("correct_class_name", sa.String(length=64), nullable=True),
        sa.Column("user_comment", sa.Text(), nullable=True),
        sa.Column("confidence_rating", sa.Integer(), nullable=True),
        sa.Column("feedback_source", sa.String(length=16), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("processed_for_training", sa.Boolean(), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("confidence_rating BETWEEN 1 AND 5", name=op.f("ck_feedback_confidence_rating")),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.id"],
            name=op.f("fk_feedback_prediction_id_predictions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
    )
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_feedback_prediction_id"), ["prediction_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_feedback_timestamp"), ["timestamp"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_feedback_timestamp"))
        batch_op.drop_index(batch_op.f("ix_feedback_prediction_id"))

    op.drop_table("feedback")
    with op.batch_alter_table("predictions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_predictions_user_id"))
        batch_op.drop_index("ix_predictions_timestamp_id")
        batch_op.drop_index(batch_op.f("ix_predictions_predicted_class_name"))
        batch_op.drop_index(batch_op.f("ix_predictions_photo_id"))
        batch_op.drop_index(batch_op.f("ix_predictions_model_version"))
        batch_op.drop_index(batch_op.f("ix_predictions_key_id"))

    op.drop_table("predictions")
    op.drop_table("live_models")
    with op.batch_alter_table("training_data", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_training_data_source"))
        batch_op.drop_index(batch_op.f("ix_training_data_dataset_split"))
        batch_op.drop_index(batch_op.f("ix_training_data_class_name"))

    op.drop_table("training_data")
    with op.batch_alter_table("photos", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_photos_stored_sha256"))
        batch_op.drop_index(batch_op.f("ix_photos_sha256"))
        batch_op.drop_index(batch_op.f("ix_photos_group"))

    op.drop_table("photos")
    op.drop_table("models")
    op.drop_table("model_performance")
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_keys_prediction_id"))

    op.drop_table("idempotency_keys")
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_log_action_subject")

    op.drop_table("audit_log")
    op.drop_table("api_keys")
