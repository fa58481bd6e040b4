"""The one assembly: what a first start does, what it refuses, and what it does without."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr
from tests.live.conftest import kept, send

from leafloop import taxonomy
from leafloop.errors import ConfigurationInvalid, ReadOnly, SchemaUnknown, TaxonomyInvalid
from leafloop.learning import registry
from leafloop.live.parts import open_ledger, open_parts, open_store
from leafloop.settings import Settings
from leafloop.storage import audit, keys
from leafloop.storage.ledger import Ledger
from leafloop.vision.bundle import Bundle


def test_a_first_start_makes_the_home_the_tables_and_the_champion_and_says_so_in_the_audit_log(
    settings: Settings, rgb: Bundle
) -> None:
    with open_store(settings, bundled=rgb.path) as store:
        (only,) = registry.list_versions(store.ledger)
        assert (only["version"], only["aliases"], only["source"], only["bundle"]) == (
            "1",
            ["champion"],
            "bundled",
            rgb.hash,
        )
        with store.ledger.reading() as session:
            assert [(row.action, row.subject, row.actor) for row in audit.latest(session)] == [
                ("promote", "1", "leafloop"),
                ("model.add", "1", "leafloop"),
            ]
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700


def test_a_second_start_finds_everything_and_brings_no_model_again(
    settings: Settings, rgb: Bundle, bgr: Bundle
) -> None:
    with open_parts(settings, bundled=rgb.path) as parts:
        said = send(parts, idempotency_key="k1")
    with open_parts(settings, bundled=bgr.path) as parts:
        assert send(parts, idempotency_key="k1") == said
        assert len(registry.list_versions(parts.ledger)) == 1
        assert kept(parts) == (1, 1, 1)


def test_starts_at_the_same_moment_make_one_model_and_one_promotion(settings: Settings, rgb: Bundle) -> None:
    def start(_: int) -> None:
        open_store(settings, bundled=rgb.path).close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    with closing(open_ledger(settings)) as ledger, ledger.reading() as session:
        assert [row.action for row in audit.latest(session)] == ["promote", "model.add"]


def test_without_a_bundled_model_the_rest_is_there(settings: Settings, tmp_path: Path) -> None:
    with open_parts(settings, bundled=tmp_path / "nothing") as parts:
        assert registry.list_versions(parts.ledger) == []
        assert not parts.serving.ready()[0]


def test_a_bundled_model_that_is_damaged_or_of_other_classes_does_not_stop_the_start(
    settings: Settings, rgb: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "manifest.json").write_text("{}")
    with open_parts(settings, bundled=tmp_path / "bad") as parts:
        assert registry.list_versions(parts.ledger) == []
    data = yaml.safe_load(taxonomy.BUILT_IN.read_text())
    data["classes"].reverse()
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(data))
    own = settings.model_copy(update={"taxonomy": tmp_path / "own.yaml"})
    with open_parts(own, bundled=rgb.path) as parts:
        assert registry.list_versions(parts.ledger) == []
        assert parts.taxonomy.class_names[0] == data["classes"][0]["name"]


def test_a_class_set_changed_under_a_live_model_is_refused_and_ready_says_so(
    settings: Settings, rgb: Bundle, tmp_path: Path
) -> None:
    open_store(settings, bundled=rgb.path).close()
    data = yaml.safe_load(taxonomy.BUILT_IN.read_text())
    data["classes"].reverse()
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(data))
    with open_parts(settings.model_copy(update={"taxonomy": tmp_path / "own.yaml"}), bundled=rgb.path) as parts:
        parts.serving.look()
        well, detail = parts.serving.ready()
        assert not well
        assert "Names and order" in detail


def test_a_schema_that_is_not_known_is_refused_with_the_command_that_mends_it(settings: Settings, rgb: Bundle) -> None:
    open_store(settings, bundled=rgb.path).close()
    ledger = Ledger(settings.database)
    with ledger.transaction() as session:
        session.connection().exec_driver_sql("update alembic_version set version_num = '9999'")
    ledger.close()
    for opened in (open_ledger, open_store, open_parts):
        with pytest.raises(SchemaUnknown, match="leafloop db upgrade"):
            opened(settings)


def test_opening_the_ledger_alone_needs_no_model_and_no_object_store(settings: Settings) -> None:
    away = settings.model_copy(update={"blobs_url": "ftp://nowhere"})
    with closing(open_ledger(away)) as ledger, ledger.reading() as session:
        assert not keys.any_made(session)
    with pytest.raises(ConfigurationInvalid, match="LEAFLOOP_BLOBS_URL"):
        open_parts(away)


def test_what_cannot_be_opened_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ReadOnly, match="LEAFLOOP_HOME"):
        open_parts(settings.model_copy(update={"home": tmp_path / "file" / "home"}))
    with pytest.raises(ConfigurationInvalid, match="LEAFLOOP_DATABASE_URL"):
        open_parts(settings.model_copy(update={"database_url": SecretStr("nonsense")}))
    with pytest.raises(TaxonomyInvalid, match="LEAFLOOP_TAXONOMY"):
        open_parts(settings.model_copy(update={"taxonomy": tmp_path / "absent.yaml"}))
