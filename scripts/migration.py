"""Draft a migration from what changed in storage/tables/. Usage: scripts/migration.py "what it does" (see docs/MIGRATIONS.md)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from leafloop.storage.ledger import MIGRATIONS, Ledger


def draft(message: str) -> None:
    """Write versions/NNNN_....py: the difference between the newest migration's schema and the tables in the code."""
    number = len(list((MIGRATIONS / "versions").glob("[0-9]*.py"))) + 1
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'draft.db'}"
        ledger = Ledger(url)
        ledger.upgrade()
        ledger.close()
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with create_engine(url).connect() as connection:
            config.attributes["connection"] = connection
            command.revision(config, message, autogenerate=True, rev_id=f"{number:04d}")


if __name__ == "__main__":
    draft(sys.argv[1])
