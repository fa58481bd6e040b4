"""One answer is deleted with its photo and what was said of it: the one path behind API and page. Who may, its caller says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leafloop.errors import NotFound
from leafloop.learning.labels import labelling
from leafloop.live import erasing
from leafloop.live.parts import Store
from leafloop.storage import audit, named, predictions, words
from leafloop.storage.tables import Prediction


def delete(store: Store, prediction_id: str, *, may: Callable[[Prediction], bool], actor: str) -> list[dict[str, Any]]:
    """What stays, why, and which snapshots hold it. Raises `NotFound` also for an answer that `may` refuses."""
    store.blobs.refuse_when_away()  # else the rows would go, and the photo would stay until somebody sweeps
    with store.ledger.transaction() as session:
        row = predictions.get(session, prediction_id)
        if row is None or not may(row):
            raise NotFound("There is no answer by this id among those that you may see.")
        whose: dict[str, Any] = {"image_hash": row.image_hash, "key_id": row.key_id, "user_id": row.user_id}
        words.hold(session, prediction_id)
        named.hold(session, row.image_hash)
        deletion = predictions.delete(session, prediction_id)
        if deletion is None:
            raise NotFound  # it was there a line ago, in this transaction
        kept = [staying.as_dict() for staying in deletion.kept]
        detail = {**whose, **deletion.record, "kept": kept}
        audit.record(session, actor=actor, action="prediction.delete", subject=prediction_id, detail=detail)
        if deletion.record["labels"]:
            labelling.make_again(session, whose["image_hash"], actor=actor)
    erasing.remove_objects(store.ledger, store.blobs, deletion.objects)
    return kept
