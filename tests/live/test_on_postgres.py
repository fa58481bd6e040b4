"""The races that a database settles, on a shared server: two replicas of the service, and no lock of one process to help."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.live.conftest import add, kept, send

from leafloop.errors import PromotionConflict, SchemaUnknown
from leafloop.learning import registry
from leafloop.live import promotion
from leafloop.live.parts import Parts, open_parts
from leafloop.settings import Settings
from leafloop.storage import audit, models
from leafloop.storage.ledger import Ledger
from leafloop.vision.bundle import Bundle


@pytest.fixture
def shared_settings(settings: Settings, postgres_url: str, tmp_path: Path) -> Settings:
    """One database and one object store for all replicas."""
    return settings.model_copy(
        update={"database_url": SecretStr(postgres_url), "blobs_url": (tmp_path / "blobs").as_uri()}
    )


@pytest.fixture
def replicas(shared_settings: Settings, rgb: Bundle, tmp_path: Path) -> Iterator[list[Parts]]:
    ledger = Ledger(shared_settings.database)
    ledger.upgrade()
    ledger.close()
    with ExitStack() as stack:
        homes = [shared_settings.model_copy(update={"home": tmp_path / f"replica{i}"}) for i in range(2)]
        yield [stack.enter_context(open_parts(home, bundled=rgb.path)) for home in homes]


def test_a_shared_database_is_never_set_up_by_a_service_that_starts(shared_settings: Settings) -> None:
    with pytest.raises(SchemaUnknown, match="leafloop db upgrade"):
        open_parts(shared_settings)


def test_twins_at_both_replicas_get_one_answer_and_one_row(replicas: list[Parts]) -> None:
    with ThreadPoolExecutor(24) as pool:
        bodies = list(pool.map(lambda number: send(replicas[number % 2], idempotency_key="k1"), range(24)))
    assert all(body == bodies[0] for body in bodies)
    assert kept(replicas[0]) == (1, 1, 1)


def test_imports_at_both_replicas_get_a_version_each(replicas: list[Parts], bgr: Bundle, rgb: Bundle) -> None:
    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(lambda number: add(replicas[number % 2], (bgr, rgb)[number // 2]), range(4)))
    assert versions == ["2", "2", "1", "1"]
    assert len(registry.list_versions(replicas[0].ledger)) == 2


def test_promotions_at_both_replicas_are_settled_one_by_one(replicas: list[Parts], bgr: Bundle) -> None:
    add(replicas[0], bgr)

    def move(number: int) -> None:
        with suppress(PromotionConflict):
            promotion.promote(replicas[number % 2], str(number % 2 + 1), reason=f"r{number}", actor="olga")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(move, range(24)))
    with replicas[1].ledger.reading() as session:
        pointer = models.pointer(session, "champion")
        rows = [row for row in reversed(audit.latest(session)) if row.action == "promote"]
        assert pointer is not None
        assert (pointer.pointer_version, pointer.version) == (len(rows), rows[-1].subject)
        assert [(row.detail or {})["previous"] for row in rows[1:]] == [row.subject for row in rows[:-1]]
