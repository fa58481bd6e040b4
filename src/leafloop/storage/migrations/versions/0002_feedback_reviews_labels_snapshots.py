"""Words with an author and a history, reviews, labels, imports, snapshots and their sides, uploads in pieces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PLAIN_DATA = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("class_map", PLAIN_DATA, nullable=False),
        sa.Column("report", PLAIN_DATA, nullable=False),
        sa.Column("photos", sa.Integer(), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_table(
        "snapshots",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("photos", sa.Integer(), nullable=False),
        sa.Column("splits", PLAIN_DATA, nullable=False),
        sa.Column("options", PLAIN_DATA, nullable=False),
        sa.Column("report", PLAIN_DATA, nullable=False),
        sa.Column("parts", PLAIN_DATA, nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_snapshots")),
    )
    op.create_table(
        "split_groups",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("split", sa.String(length=8), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("split IN ('train', 'val', 'test')", name=op.f("ck_split_groups_split")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_split_groups")),
        sa.UniqueConstraint("id", "split", name=op.f("uq_split_groups_id_split")),
    )
    op.create_table(
        "tombstones",
        sa.Column("image_hash", sa.String(length=64), nullable=False),
        sa.Column("stored_sha256", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("image_hash", name=op.f("pk_tombstones")),
    )
    with op.batch_alter_table("tombstones", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tombstones_stored_sha256"), ["stored_sha256"], unique=False)

    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.Column("fields", PLAIN_DATA, nullable=False),
        sa.Column("prediction_id", sa.String(length=36), nullable=True),
        sa.Column("refusal", PLAIN_DATA, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
        sa.UniqueConstraint("scope", "key", name=op.f("uq_uploads_scope_key")),
    )
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_uploads_created_at"), ["created_at"], unique=False)

    op.create_table(
        "photo_sides",
        sa.Column("image_hash", sa.String(length=64), nullable=False),
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.Column("split", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id", "split"],
            ["split_groups.id", "split_groups.split"],
            name=op.f("fk_photo_sides_group_id_split_groups"),
        ),
        sa.PrimaryKeyConstraint("image_hash", name=op.f("pk_photo_sides")),
        sa.UniqueConstraint("image_hash", "group_id", "split", name=op.f("uq_photo_sides_image_hash_group_id_split")),
    )
    with op.batch_alter_table("photo_sides", schema=None) as batch_op:
        batch_op.create_index("ix_photo_sides_group_id_split", ["group_id", "split"], unique=False)
    _hold_for_good("photo_sides")

    op.create_table(
        "snapshot_photos",
        sa.Column("snapshot_hash", sa.String(length=64), nullable=False),
        sa.Column("image_hash", sa.String(length=64), nullable=False),
        sa.Column("stored_sha256", sa.String(length=64), nullable=False),
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.Column("split", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_hash", "group_id", "split"],
            ["photo_sides.image_hash", "photo_sides.group_id", "photo_sides.split"],
            name=op.f("fk_snapshot_photos_image_hash_group_id_split_photo_sides"),
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_hash"],
            ["snapshots.hash"],
            name=op.f("fk_snapshot_photos_snapshot_hash_snapshots"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("snapshot_hash", "image_hash", name=op.f("pk_snapshot_photos")),
    )
    with op.batch_alter_table("snapshot_photos", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_snapshot_photos_image_hash"), ["image_hash"], unique=False)
        batch_op.create_index(batch_op.f("ix_snapshot_photos_stored_sha256"), ["stored_sha256"], unique=False)

    op.create_table(
        "upload_pieces",
        sa.Column("upload_id", sa.String(length=36), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name=op.f("fk_upload_pieces_upload_id_uploads"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("upload_id", "offset", name=op.f("pk_upload_pieces")),
    )
    with op.batch_alter_table("upload_pieces", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_upload_pieces_sha256"), ["sha256"], unique=False)

    op.create_table(
        "review_items",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Double(), nullable=False),
        sa.Column("reasons", PLAIN_DATA, nullable=False),
        sa.Column("is_random", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leased_by", sa.String(length=220), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'second', 'disputed', 'done', 'rejected')", name=op.f("ck_review_items_state")
        ),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.id"],
            name=op.f("fk_review_items_prediction_id_predictions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_items")),
        sa.UniqueConstraint("prediction_id", name=op.f("uq_review_items_prediction_id")),
    )
    with op.batch_alter_table("review_items", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_review_items_created_at"), ["created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_review_items_leased_until"), ["leased_until"], unique=False)
        batch_op.create_index("ix_review_items_state_priority", ["state", "priority"], unique=False)

    op.create_table(
        "reviews",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("item_id", sa.String(length=36), nullable=False),
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("key_id", sa.String(length=8), nullable=True),
        sa.Column("reviewer", sa.String(length=200), nullable=True),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("class_id", sa.Integer(), nullable=True),
        sa.Column("class_name", sa.String(length=64), nullable=True),
        sa.Column("boxes", PLAIN_DATA, nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "decision IN ('accept', 'correct', 'reject', 'skip', 'second')", name=op.f("ck_reviews_decision")
        ),
        sa.CheckConstraint(
            "outcome IN ('diseased', 'healthy', 'uncertain', 'no_leaf')", name=op.f("ck_reviews_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["item_id"], ["review_items.id"], name=op.f("fk_reviews_item_id_review_items"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["predictions.id"], name=op.f("fk_reviews_prediction_id_predictions"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
    )
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reviews_created_at"), ["created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_reviews_item_id"), ["item_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_reviews_prediction_id"), ["prediction_id"], unique=False)

    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.add_column(sa.Column("key_id", sa.String(length=8), nullable=True))
        batch_op.add_column(sa.Column("user_id", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("correct_outcome", sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column("corrected_boxes", PLAIN_DATA, nullable=True))
        batch_op.add_column(sa.Column("ask_expert", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("status", sa.String(length=16), server_default="pending", nullable=False))
        batch_op.add_column(sa.Column("judged", sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column("replaces", sa.String(length=36), nullable=True))
        batch_op.alter_column("is_correct", existing_type=sa.BOOLEAN(), nullable=True)
        batch_op.create_check_constraint(
            batch_op.f("ck_feedback_correct_outcome"),
            "correct_outcome IN ('diseased', 'healthy', 'uncertain', 'no_leaf')",
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_feedback_status"), "status IN ('pending', 'accepted', 'overruled', 'replaced', 'withdrawn')"
        )
        batch_op.create_check_constraint(batch_op.f("ck_feedback_judged"), "judged IN ('accepted', 'overruled')")
        batch_op.create_index("ix_feedback_key_id_user_id", ["key_id", "user_id"], unique=False)
        batch_op.create_index("ix_feedback_prediction_id_status", ["prediction_id", "status"], unique=False)
        batch_op.create_index(batch_op.f("ix_feedback_replaces"), ["replaces"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_feedback_replaces_feedback"), "feedback", ["replaces"], ["id"], ondelete="SET NULL"
        )

    with op.batch_alter_table("photos", schema=None) as batch_op:
        batch_op.add_column(sa.Column("likeness", sa.LargeBinary(), nullable=True))

    with op.batch_alter_table("training_data", schema=None) as batch_op:
        batch_op.add_column(sa.Column("photo_id", sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column("name", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("width", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("height", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("outcome", sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column("strength", sa.String(length=8), server_default="weak", nullable=False))
        batch_op.add_column(sa.Column("feedback_ids", PLAIN_DATA, nullable=True))
        batch_op.add_column(sa.Column("key_id", sa.String(length=8), nullable=True))
        batch_op.add_column(sa.Column("user_id", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("group", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("may_test", sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column("split_group", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("looked_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("revision", sa.Integer(), server_default="1", nullable=False))
        batch_op.create_check_constraint(batch_op.f("ck_training_data_strength"), "strength IN ('strong', 'weak')")
        batch_op.create_check_constraint(
            batch_op.f("ck_training_data_outcome"), "outcome IN ('diseased', 'healthy', 'uncertain', 'no_leaf')"
        )
        batch_op.create_index(batch_op.f("ix_training_data_group"), ["group"], unique=False)
        batch_op.create_index(batch_op.f("ix_training_data_image_path"), ["image_path"], unique=False)
        batch_op.create_index(batch_op.f("ix_training_data_photo_id"), ["photo_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_training_data_source_id"), ["source_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_training_data_split_group"), ["split_group"], unique=False)
        batch_op.create_index(batch_op.f("ix_training_data_user_id"), ["user_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_training_data_split_group_split_groups"), "split_groups", ["split_group"], ["id"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_training_data_photo_id_photos"), "photos", ["photo_id"], ["id"], ondelete="SET NULL"
        )


def _hold_for_good(table: str) -> None:
    """Rows of a table may be added, and neither changed nor removed. Who makes the table anew later does this again."""
    said = "a photo never changes its side"
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION {table}_stay() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{said}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_stay BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_stay()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        name = f"{table}_stay_{change.lower()}"
        op.execute(f"CREATE TRIGGER {name} BEFORE {change} ON {table} BEGIN SELECT RAISE(ABORT, '{said}'); END")


def downgrade() -> None:
    op.execute(
        "DELETE FROM feedback WHERE is_correct IS NULL"
    )  # what only asks an expert has no place in the older table
    with op.batch_alter_table("training_data", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_training_data_strength"), type_="check")
        batch_op.drop_constraint(batch_op.f("ck_training_data_outcome"), type_="check")
        batch_op.drop_constraint(batch_op.f("fk_training_data_photo_id_photos"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_training_data_split_group_split_groups"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_training_data_user_id"))
        batch_op.drop_index(batch_op.f("ix_training_data_split_group"))
        batch_op.drop_index(batch_op.f("ix_training_data_source_id"))
        batch_op.drop_index(batch_op.f("ix_training_data_photo_id"))
        batch_op.drop_index(batch_op.f("ix_training_data_image_path"))
        batch_op.drop_index(batch_op.f("ix_training_data_group"))
        batch_op.drop_column("looked_at")
        batch_op.drop_column("revision")
        batch_op.drop_column("split_group")
        batch_op.drop_column("may_test")
        batch_op.drop_column("group")
        batch_op.drop_column("user_id")
        batch_op.drop_column("key_id")
        batch_op.drop_column("feedback_ids")
        batch_op.drop_column("strength")
        batch_op.drop_column("outcome")
        batch_op.drop_column("height")
        batch_op.drop_column("width")
        batch_op.drop_column("name")
        batch_op.drop_column("photo_id")

    with op.batch_alter_table("photos", schema=None) as batch_op:
        batch_op.drop_column("likeness")

    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_feedback_judged"), type_="check")
        batch_op.drop_constraint(batch_op.f("ck_feedback_status"), type_="check")
        batch_op.drop_constraint(batch_op.f("ck_feedback_correct_outcome"), type_="check")
        batch_op.drop_constraint(batch_op.f("fk_feedback_replaces_feedback"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_feedback_replaces"))
        batch_op.drop_index("ix_feedback_prediction_id_status")
        batch_op.drop_index("ix_feedback_key_id_user_id")
        batch_op.alter_column("is_correct", existing_type=sa.BOOLEAN(), nullable=False)
        batch_op.drop_column("replaces")
        batch_op.drop_column("judged")
        batch_op.drop_column("status")
        batch_op.drop_column("claimed_at")
        batch_op.drop_column("ask_expert")
        batch_op.drop_column("corrected_boxes")
        batch_op.drop_column("correct_outcome")
        batch_op.drop_column("user_id")
        batch_op.drop_column("key_id")

    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reviews_prediction_id"))
        batch_op.drop_index(batch_op.f("ix_reviews_item_id"))
        batch_op.drop_index(batch_op.f("ix_reviews_created_at"))

    op.drop_table("reviews")
    with op.batch_alter_table("review_items", schema=None) as batch_op:
        batch_op.drop_index("ix_review_items_state_priority")
        batch_op.drop_index(batch_op.f("ix_review_items_leased_until"))
        batch_op.drop_index(batch_op.f("ix_review_items_created_at"))

    op.drop_table("review_items")
    with op.batch_alter_table("upload_pieces", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_upload_pieces_sha256"))

    op.drop_table("upload_pieces")
    with op.batch_alter_table("snapshot_photos", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_snapshot_photos_stored_sha256"))
        batch_op.drop_index(batch_op.f("ix_snapshot_photos_image_hash"))

    op.drop_table("snapshot_photos")
    with op.batch_alter_table("photo_sides", schema=None) as batch_op:
        batch_op.drop_index("ix_photo_sides_group_id_split")

    op.drop_table("photo_sides")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION photo_sides_stay()")
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_uploads_created_at"))

    op.drop_table("uploads")
    with op.batch_alter_table("tombstones", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tombstones_stored_sha256"))

    op.drop_table("tombstones")
    op.drop_table("split_groups")
    op.drop_table("snapshots")
    op.drop_table("imports")
