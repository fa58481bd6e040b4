"""Objects that nothing names any more are removed, and never one that is being named at that moment. Knows no photo.

The same bytes may be sent again while their last answer is being deleted. Both sides hold the object in the ledger as they
decide: the one that removes looks whether a row names it, the one that writes a row looks whether it is still there.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from leafloop.storage import named
from leafloop.storage.blobs import BlobStore
from leafloop.storage.ledger import Ledger


def keep_object(session: Session, blobs: BlobStore, data: bytes, key: str) -> None:
    """Hold an object that was stored before, in the transaction that writes its row; put it back if it was removed meanwhile."""
    named.hold(session, key)
    if not blobs.has(key):
        blobs.put(data)


def remove_objects(ledger: Ledger, blobs: BlobStore, keys: Iterable[str]) -> None:
    """Remove objects unless a row names them by now. A stop in between leaves an object without a row, which does no harm."""
    for key in keys:
        with ledger.transaction() as session:
            named.hold(session, key)
            if not named.is_named(session, key):
                blobs.delete(key)
