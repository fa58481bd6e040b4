"""The tables of what people say of answers, and of its review."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from leafloop.storage.tables.base import Base, PlainData, new_id, now


class Feedback(Base):
    """What a person said of an answer: a word. Rows are added; only `status` and `judged` change: derived by learning.words."""

    __tablename__ = "feedback"
    __table_args__ = (
        Index("ix_feedback_prediction_id_status", "prediction_id", "status"),
        Index("ix_feedback_key_id_user_id", "key_id", "user_id"),
        CheckConstraint("confidence_rating BETWEEN 1 AND 5", name="confidence_rating"),
        CheckConstraint("correct_outcome IN ('diseased', 'healthy', 'uncertain', 'no_leaf')", name="correct_outcome"),
        CheckConstraint("status IN ('pending', 'accepted', 'overruled', 'replaced', 'withdrawn')", name="status"),
        CheckConstraint("judged IN ('accepted', 'overruled')", name="judged"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    prediction_id: Mapped[str] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"), index=True)
    key_id: Mapped[str | None] = mapped_column(String(8))  # the author is (key, user)
    user_id: Mapped[str | None] = mapped_column(String(200))
    is_correct: Mapped[bool | None]  # None: only asks an expert, or only comments
    correct_class_id: Mapped[int | None] = mapped_column(Integer)  # the class as its author sees it
    correct_class_name: Mapped[str | None] = mapped_column(String(64))  # the name of that class
    correct_outcome: Mapped[str | None] = mapped_column(String(16))  # the verdict as its author sees it
    corrected_boxes: Mapped[list[Any] | None] = mapped_column(PlainData)  # []: nothing is there; None: none were drawn
    ask_expert: Mapped[bool] = mapped_column(default=False, server_default=false())  # a reviewer shall answer
    user_comment: Mapped[str | None] = mapped_column(Text)  # its author's own words
    confidence_rating: Mapped[int | None] = mapped_column(Integer)  # 1 to 5: how sure its author is
    feedback_source: Mapped[str] = mapped_column(String(16))  # the door: api, page, cli
    timestamp: Mapped[datetime] = mapped_column(default=now, index=True)  # when it was said
    claimed_at: Mapped[datetime | None]  # when its author first claimed this, if a word before it did
    status: Mapped[str] = mapped_column(
        String(16), default="pending", server_default="pending"
    )  # how it stands since the last review of its answer
    judged: Mapped[str | None] = mapped_column(
        String(16)
    )  # what a review made of its claim, whatever replaced or withdrew it since: trust counts these
    replaces: Mapped[str | None] = mapped_column(
        ForeignKey("feedback.id", ondelete="SET NULL"), index=True
    )  # this author's word before it
    processed_for_training: Mapped[bool] = mapped_column(default=False)  # a model that was trained on it is registered
    processed_at: Mapped[datetime | None]  # when that was


class ReviewItem(Base):
    """An answer that waits for a reviewer, and why. `version` grows with each change and settles races."""

    __tablename__ = "review_items"
    __table_args__ = (
        Index("ix_review_items_state_priority", "state", "priority"),
        CheckConstraint("state IN ('open', 'second', 'disputed', 'done', 'rejected')", name="state"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    prediction_id: Mapped[str] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"), unique=True)
    state: Mapped[str] = mapped_column(
        String(16), default="open"
    )  # second: waits for a second opinion; disputed: two differ
    priority: Mapped[float]  # the sum of its reasons' weights (learning.review.worth)
    reasons: Mapped[list[Any]]  # [{code, detail}]
    is_random: Mapped[bool] = mapped_column(default=False)  # of the random share: the measured accuracy rests on these
    due_at: Mapped[datetime | None]  # somebody waits for the answer
    leased_by: Mapped[str | None] = mapped_column(String(220))  # who has it in hand
    leased_until: Mapped[datetime | None] = mapped_column(index=True)  # when it is free again
    version: Mapped[int] = mapped_column(Integer, default=1)  # grows with each change
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
    decided_at: Mapped[datetime | None]  # when the last decision was made


class Review(Base):
    """What a reviewer decided. Rows are added; an undone one stays, marked so."""

    __tablename__ = "reviews"
    __table_args__ = (
        CheckConstraint("decision IN ('accept', 'correct', 'reject', 'skip', 'second')", name="decision"),
        CheckConstraint("outcome IN ('diseased', 'healthy', 'uncertain', 'no_leaf')", name="outcome"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    item_id: Mapped[str] = mapped_column(
        ForeignKey("review_items.id", ondelete="CASCADE"), index=True
    )  # the case it decides
    prediction_id: Mapped[str] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"), index=True)
    key_id: Mapped[str | None] = mapped_column(String(8))
    reviewer: Mapped[str | None] = mapped_column(String(200))  # the name that the reviewer gave
    decision: Mapped[str] = mapped_column(
        String(16)
    )  # accept: the answer is right; correct: it is not; reject: of no use
    outcome: Mapped[str | None] = mapped_column(String(16))  # of the photo, as the reviewer sees it
    class_id: Mapped[int | None] = mapped_column(Integer)
    class_name: Mapped[str | None] = mapped_column(String(64))
    boxes: Mapped[list[Any] | None] = mapped_column(
        PlainData
    )  # []: nothing is there, I looked; None: a class, no boxes
    comment: Mapped[str | None] = mapped_column(Text)  # goes back to the person who asked
    blind: Mapped[bool] = mapped_column(default=False)  # a second opinion, given without seeing the first
    seconds: Mapped[float | None]  # from the photo's being shown to the decision
    undone_at: Mapped[datetime | None]  # taken back, and when
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
