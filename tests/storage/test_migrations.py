"""Migrations: up and down with data in them, on both databases, and the same schema as the tables in the code."""

from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text
from tests.storage.conftest import answer

from leafloop.errors import SchemaUnknown
from leafloop.storage import predictions
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Base


def test_the_migrations_make_the_schema_that_the_code_has(ledger: Ledger, database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert (
            compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata) == []
        )
    engine.dispose()


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


def test_the_schema_goes_down_with_data_in_it_and_up_again(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        predictions.record_answer(session, *answer())
    ledger.downgrade("base")
    assert ledger.revision() is None
    ledger.upgrade()
    ledger.check()
    with ledger.reading() as session:
        assert predictions.find(session, predictions.Filters()).total == 0


def test_upgrading_keeps_what_is_there(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        predictions.record_answer(session, *answer())
    ledger.upgrade()
    with ledger.reading() as session:
        assert predictions.find(session, predictions.Filters()).total == 1


def test_two_that_upgrade_at_once_both_end_well(database_url: str) -> None:
    ledgers, failed = [Ledger(database_url) for _ in range(2)], []

    def upgrade(ledger: Ledger) -> None:
        try:
            ledger.upgrade()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=upgrade, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    for ledger in ledgers:
        ledger.check()
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
