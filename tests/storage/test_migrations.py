"""Migrations: up and down with data in them, on both databases, and the same schema as the tables in the code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, func, inspect, select, text
from sqlalchemy.exc import IntegrityError
from tests.storage.conftest import answer, other_database

from leafloop.errors import SchemaUnknown
from leafloop.storage import audit, keys, models, predictions, tables
from leafloop.storage.ledger import MIGRATIONS, Ledger
from leafloop.storage.tables import Base

ROOT = Path(__file__).resolve().parents[2]
NEWEST = max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
NEXT = f"{int(NEWEST) + 1:04d}"


def _fill(ledger: Ledger) -> None:
    """A row in every table."""
    photo, prediction = answer()
    with ledger.transaction() as session:
        predictions.record_answer(session, photo, prediction)
        session.add(tables.Feedback(prediction_id=prediction.id, is_correct=True, feedback_source="api"))
        item = tables.ReviewItem(prediction_id=prediction.id, priority=1.0, reasons=[])
        session.add_all([item, tables.SplitGroup(id="a" * 64, split="test")])
        session.flush()
        session.add(tables.Review(item_id=item.id, prediction_id=prediction.id, decision="accept"))
        label = tables.TrainingData(image_path="b" * 64, image_hash="a" * 64, source="feedback", split_group="a" * 64)
        facts: dict[str, Any] = {"photos": 1, "splits": {"test": 1}, "options": {}, "report": {}, "parts": []}
        session.add_all([label, tables.Snapshot(hash="d" * 64, actor="cli", **facts)])
        session.flush()
        session.add(tables.PhotoSide(image_hash="a" * 64, group_id="a" * 64, split="test"))
        session.flush()
        where = {"snapshot_hash": "d" * 64, "image_hash": "a" * 64, "stored_sha256": "b" * 64}
        session.add(tables.SnapshotPhoto(**where, group_id="a" * 64, split="test"))
        session.add(tables.Tombstone(image_hash="e" * 64, stored_sha256="e" * 64, reason="asked", actor="cli"))
        upload = tables.Upload(scope="open", key="k", length=2, fields={})
        session.add(upload)
        session.flush()
        session.add(tables.UploadPiece(upload_id=upload.id, offset=0, sha256="f" * 64, bytes=1))
        report = {"class_map": {}, "report": {}, "photos": 0, "labels": 0}
        session.add(tables.Import(name="set", format="yolo", actor="cli", **report))
        session.add(tables.ModelPerformance(model_version="1", model_name="tiny", date=tables.now().date()))
        session.add(tables.IdempotencyKey(scope="open", key="k", fingerprint="f", claim_token="t"))
        keys.create(session, id="aaaaaaaa", role="field", label="", secret_sha256="0" * 64)
        audit.record(session, actor="cli", action="fill")
        manifest = {"name": "tiny", "licence": "Apache-2.0"}
        version = models.add_version(session, bundle_hash="c" * 64, manifest=manifest, source="test").version
        models.move_pointer(session, "champion", version, expected=0, actor="cli", reason="test")


def _counts(ledger: Ledger) -> dict[str, int | None]:
    with ledger.reading() as session:
        return {
            name: session.scalar(select(func.count()).select_from(table))
            for name, table in Base.metadata.tables.items()
        }


def _columns(url: str, table: str) -> set[str]:
    engine = create_engine(url)
    found = {column["name"] for column in inspect(engine).get_columns(table)}
    engine.dispose()
    return found


def _calls(source: str) -> list[str]:
    """What a migration does, however it is quoted."""
    plain = source.replace("'", '"').replace(", schema=None", "")
    return [line.strip() for line in plain.splitlines() if line.strip().startswith(("with op.", "batch_op."))]


def _with_another(folder: Path, body: str) -> Path:
    """Our migrations and one more, that does `body`."""
    migrations = shutil.copytree(MIGRATIONS, folder / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    head = f"import sqlalchemy as sa\nfrom alembic import op\n\nrevision, down_revision = '{NEXT}', '{NEWEST}'\n"
    (migrations / "versions" / f"{NEXT}_another.py").write_text(f"{head}\n\ndef upgrade():\n    {body}\n")
    return migrations


def test_the_migrations_make_the_schema_that_the_code_has(ledger: Ledger, database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        compared = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(compared, Base.metadata) == []
    engine.dispose()


def test_the_code_makes_the_checks_that_the_migrations_make(ledger: Ledger, database_url: str) -> None:
    """Alembic's comparison does not look at check constraints."""

    def checks(url: str) -> dict[str, list[tuple[Any, str]]]:
        engine = create_engine(url)
        if url != database_url:
            Base.metadata.create_all(engine)
        looked = inspect(engine)
        found = {
            table: sorted((check["name"], check["sqltext"]) for check in looked.get_check_constraints(table))
            for table in Base.metadata.tables
        }
        engine.dispose()
        return found

    with other_database(database_url) as other:
        assert checks(database_url) == checks(other)
    assert sum(map(len, checks(database_url).values())) == 11


def test_every_constraint_and_index_has_a_name(ledger: Ledger, database_url: str) -> None:
    engine = create_engine(database_url)
    looked = inspect(engine)
    for table in Base.metadata.tables:
        for kind in (
            looked.get_indexes,
            looked.get_foreign_keys,
            looked.get_unique_constraints,
            looked.get_check_constraints,
        ):
            assert all(found["name"] for found in kind(table)), table
        assert looked.get_pk_constraint(table)["name"] == f"pk_{table}"
    engine.dispose()


def test_the_schema_goes_down_with_data_in_every_table_and_up_again(ledger: Ledger) -> None:
    _fill(ledger)
    ledger.downgrade("base")
    assert ledger.revision() is None
    ledger.upgrade()
    ledger.check()
    assert set(_counts(ledger).values()) == {0}


def test_upgrading_again_keeps_what_is_there(ledger: Ledger) -> None:
    _fill(ledger)
    ledger.upgrade()
    assert set(_counts(ledger).values()) == {1}


def test_the_worked_example_of_the_docs_is_drafted_as_shown_and_keeps_every_row_up_and_down(
    ledger: Ledger, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (ROOT / "docs" / "MIGRATIONS.md").read_text()
    column = next(line.strip() for line in said.splitlines() if line.strip().startswith("camera:"))
    tree = tmp_path / "src"
    shutil.copytree(ROOT / "src" / "leafloop", tree / "leafloop", ignore=shutil.ignore_patterns("bundled", "static"))
    tables = tree / "leafloop" / "storage" / "tables" / "answers.py"
    others = "seen_at: Mapped[datetime | None]\n    extra: Mapped[dict[str, Any] | None]"  # types of our own
    tables.write_text(tables.read_text().replace("    consent:", f"    {column}\n    {others}\n    consent:"))
    command = [sys.executable, str(ROOT / "scripts" / "migration.py"), "photos know their camera"]
    # coverage would count the copied tree beside the real one
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    subprocess.run(command, check=True, timeout=60, env={**environ, "PYTHONPATH": str(tree)}, capture_output=True)
    migrations = tree / "leafloop" / "storage" / "migrations"
    draft = (migrations / "versions" / f"{NEXT}_photos_know_their_camera.py").read_text()
    assert "leafloop" not in draft
    assert [call for call in _calls(draft) if "seen_at" not in call and "extra" not in call] == _calls(said)

    _fill(ledger)
    monkeypatch.setattr("leafloop.storage.ledger.MIGRATIONS", migrations)
    ledger.upgrade()
    assert (ledger.revision(), "camera" in _columns(database_url, "photos")) == (NEXT, True)
    ledger.downgrade("-1")
    assert (ledger.revision(), "camera" in _columns(database_url, "photos")) == (NEWEST, False)
    assert set(_counts(ledger).values()) == {1}


def test_a_table_that_is_made_anew_keeps_the_rows_that_refer_to_it(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite cannot alter a column: the table is copied and the old one dropped, which must not delete its feedback."""
    _fill(ledger)
    body = (
        "with op.batch_alter_table('predictions', recreate=WHEN) as batch_op:\n        batch_op.drop_column('metadata')"
    )
    body = body.replace("WHEN", "'always'" if ledger.is_embedded else "'auto'")
    monkeypatch.setattr("leafloop.storage.ledger.MIGRATIONS", _with_another(tmp_path, body))
    ledger.upgrade()
    monkeypatch.undo()
    assert ledger.revision() == NEXT
    with ledger.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM feedback")) == 1
    if ledger.is_embedded:
        with ledger.reading() as session:
            assert session.scalar(text("PRAGMA foreign_keys")) == 1


def test_a_migration_that_would_lose_references_changes_nothing(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(ledger)
    monkeypatch.setattr(
        "leafloop.storage.ledger.MIGRATIONS", _with_another(tmp_path, "op.execute('DELETE FROM photos')")
    )
    with pytest.raises((SchemaUnknown, IntegrityError)):
        ledger.upgrade()
    assert (ledger.revision(), set(_counts(ledger).values())) == (NEWEST, {1})


def test_a_migration_that_breaks_off_leaves_the_schema_as_it_was(
    ledger: Ledger, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(ledger)
    body = "op.add_column('photos', sa.Column('half', sa.Text()))\n    raise ValueError('no further')"
    monkeypatch.setattr("leafloop.storage.ledger.MIGRATIONS", _with_another(tmp_path, body))
    with pytest.raises(ValueError, match="no further"):
        ledger.upgrade()
    assert ledger.revision() == NEWEST
    assert "half" not in _columns(database_url, "photos")
    assert set(_counts(ledger).values()) == {1}


def test_two_processes_that_upgrade_over_two_steps_at_once_both_end_well(database_url: str, tmp_path: Path) -> None:
    migrations = _with_another(tmp_path, "op.add_column('photos', sa.Column('camera', sa.Text()))")
    program = (
        "import sys; from pathlib import Path; from leafloop.storage import ledger\n"
        "ledger.MIGRATIONS = Path(sys.argv[2]); sys.stdin.readline(); ledger.Ledger(sys.argv[1]).upgrade()"
    )
    command = [sys.executable, "-c", program, database_url, str(migrations)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    time.sleep(1)  # both have loaded everything by the time when they may begin, on most machines
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    ledger = Ledger(database_url)
    assert ledger.revision() == NEXT
    ledger.close()
    assert "camera" in _columns(database_url, "photos")


def test_an_index_can_be_made_while_others_write_on_postgresql(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "with op.get_context().autocommit_block():\n"
        "        op.create_index('ix_photos_width', 'photos', ['width'], postgresql_concurrently=True)"
    )
    monkeypatch.setattr("leafloop.storage.ledger.MIGRATIONS", _with_another(tmp_path, body))
    ledger = Ledger(postgres_url)
    ledger.upgrade()
    assert ledger.revision() == NEXT
    engine = create_engine(postgres_url)
    assert "ix_photos_width" in {index["name"] for index in inspect(engine).get_indexes("photos")}
    engine.dispose()
    ledger.close()


def test_a_schema_from_the_future_is_refused_with_the_way_out(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaUnknown, match="9999.*install the version that made it"):
        ledger.check()
    with pytest.raises(SchemaUnknown):
        ledger.upgrade()


def test_an_unknown_revision_is_refused(ledger: Ledger) -> None:
    with pytest.raises(SchemaUnknown, match="nowhere"):
        ledger.downgrade("nowhere")
    ledger.check()
