"""The pointer: moved by one, with who and why, and back again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.live.conftest import add, variant
from tests.tiny_models import BANANA, tiny_bundle

from leafloop.errors import BundleRejected, NotFound, PromotionConflict, RequestInvalid
from leafloop.learning import registry
from leafloop.live import promotion
from leafloop.live.parts import Parts
from leafloop.storage import audit, models
from leafloop.vision.bundle import Bundle


@pytest.fixture
def three(parts: Parts, bgr: Bundle, rgb: Bundle, tmp_path: Path) -> Parts:
    """Versions 1 (champion), 2 and 3."""
    add(parts, bgr)
    add(parts, variant(rgb, tmp_path / "third", "third"))
    return parts


def moves(parts: Parts) -> list[tuple[str, str, str | None, str | None]]:
    with parts.ledger.reading() as session:
        rows = [row for row in audit.latest(session) if row.action in ("promote", "rollback")]
        return [(row.action, row.actor, row.subject, row.reason) for row in reversed(rows)]


def aliases(parts: Parts) -> dict[str, list[str]]:
    return {row["version"]: row["aliases"] for row in registry.list_versions(parts.ledger) if row["aliases"]}


def test_a_promotion_says_what_answers_now_and_what_did_before(three: Parts) -> None:
    assert promotion.promote(three, "2", reason=" better on plot 3 ", actor="olga") == {"version": "2", "previous": "1"}
    assert promotion.promote(three, "3", reason="better still", actor="olga") == {"version": "3", "previous": "2"}
    assert aliases(three) == {"3": ["champion"], "2": ["previous"]}
    assert moves(three)[1:] == [("promote", "olga", "2", "better on plot 3"), ("promote", "olga", "3", "better still")]


def test_a_rollback_goes_to_the_model_before_or_to_the_one_that_is_named(three: Parts) -> None:
    promotion.promote(three, "2", reason="r", actor="olga")
    promotion.promote(three, "3", reason="r", actor="olga")
    assert promotion.rollback(three, reason="worse", actor="olga") == {"version": "2", "previous": "3"}
    assert promotion.rollback(three, "1", reason="worse still", actor="olga") == {"version": "1", "previous": "2"}
    assert moves(three)[-2:] == [("rollback", "olga", "2", "worse"), ("rollback", "olga", "1", "worse still")]


def test_the_first_champion_has_nothing_to_go_back_to(parts: Parts) -> None:
    with pytest.raises(NotFound, match="no earlier model"):
        promotion.rollback(parts, reason="worse", actor="olga")


def test_promoting_what_answers_already_changes_and_records_nothing(three: Parts) -> None:
    promotion.promote(three, "2", reason="r", actor="olga")
    before = moves(three)
    assert promotion.promote(three, "2", reason="again", actor="olga") == {"version": "2", "previous": "1"}
    assert moves(three) == before


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 1001])
def test_a_reason_is_required(three: Parts, reason: str) -> None:
    for move in (
        lambda: promotion.promote(three, "2", reason=reason, actor="olga"),
        lambda: promotion.rollback(three, "2", reason=reason, actor="olga"),
    ):
        with pytest.raises(RequestInvalid, match="Say why"):
            move()
    assert aliases(three) == {"1": ["champion"]}


@pytest.mark.parametrize("version", ["99", "", "1; drop table models", "champion"])
def test_a_version_that_does_not_exist_moves_nothing(three: Parts, version: str) -> None:
    with pytest.raises(NotFound):
        promotion.promote(three, version, reason="r", actor="olga")
    assert aliases(three) == {"1": ["champion"]}


def test_a_model_of_another_class_set_is_never_promoted(parts: Parts, tmp_path: Path) -> None:
    other = BANANA.as_dict()
    other["classes"][1], other["classes"][2] = other["classes"][2], other["classes"][1]
    version = add(parts, tiny_bundle(tmp_path / "other", taxonomy=other))
    with pytest.raises(BundleRejected, match="Names and order"):
        promotion.promote(parts, version, reason="r", actor="olga")
    assert aliases(parts) == {"1": ["champion"]}


def test_of_two_who_saw_the_same_champion_one_moves_it_and_the_other_is_told(
    three: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Olga reads the pointer, Omar moves it, Olga's move is refused with nothing written."""
    read = models.pointer

    def read_then_omar_moves(session: object, role: str) -> object:
        found = read(session, role)  # type: ignore[arg-type]
        session.expunge(found)  # type: ignore[attr-defined]
        assert models.move_pointer(session, role, "3", expected=found.pointer_version, actor="omar", reason="r")  # type: ignore[arg-type, union-attr]
        return found

    monkeypatch.setattr(models, "pointer", read_then_omar_moves)
    before = moves(three)
    with pytest.raises(PromotionConflict):
        promotion.promote(three, "2", reason="r", actor="olga")
    monkeypatch.undo()
    assert moves(three) == before


def test_many_at_once_leave_one_champion_and_a_record_that_agrees_with_each_move(three: Parts) -> None:
    def move(number: int) -> dict[str, str | None] | None:
        try:
            return promotion.promote(three, str(number % 3 + 1), reason=f"r{number}", actor=f"operator {number}")
        except PromotionConflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(move, range(24)))
    with three.ledger.reading() as session:
        pointer = models.pointer(session, "champion")
        rows = [row for row in reversed(audit.latest(session)) if row.action == "promote"]
        assert pointer is not None
        assert pointer.pointer_version == len(rows)  # each move has its row, each row its move
        assert (pointer.version, pointer.actor, pointer.reason) == (rows[-1].subject, rows[-1].actor, rows[-1].reason)
        chain = [(row.detail or {})["previous"] for row in rows[1:]]
        assert chain == [row.subject for row in rows[:-1]]
