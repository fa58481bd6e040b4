"""What a client was told, written down so that it survives whatever happens to the service, and compared with it afterwards.

A line is written and synced before the next request of that thread: what stands here as acknowledged, was acknowledged.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.chaos.photos import photo, stored_hash


def body_hash(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Acked:
    """A 200 to an upload of photo `number`: the id it was given, the Idempotency-Key it was sent with, and the body's hash."""

    number: int
    key: str | None
    id: str
    body: str


class Journal:
    """acks.jsonl. Threads may write at once."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        path.touch()

    def write(self, what: str, **facts: object) -> None:
        """`sent` (about to be), `acked`, `deleting` (about to be), `deleted`."""
        with self._lock, self._path.open("a") as file:
            file.write(json.dumps({"what": what, **facts}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _lines(self, what: str) -> Iterator[dict[str, Any]]:
        for line in self._path.read_text().splitlines():
            facts = json.loads(line)
            if facts.pop("what") == what:
                yield facts

    def acked(self) -> list[Acked]:
        """Every acknowledged upload, those of retries too."""
        return [Acked(**facts) for facts in self._lines("acked")]

    def deleting(self) -> set[str]:
        """Ids whose deletion was asked for: whether they are there is open until it was acknowledged."""
        return {facts["id"] for facts in self._lines("deleting")}

    def deleted(self) -> set[str]:
        return {facts["id"] for facts in self._lines("deleted")}

    def attempts(self) -> Counter[int]:
        """How often each photo was sent; a key counts once, however often it was sent."""
        keyed = {(facts["number"], facts["key"]) for facts in self._lines("sent") if facts["key"]}
        bare = [facts["number"] for facts in self._lines("sent") if not facts["key"]]
        return Counter([number for number, _ in keyed] + bare)


def compare(http: httpx.Client, journal: Journal) -> None:
    """Nothing that was acknowledged is lost or changed, nothing is doubled, and what was deleted is gone."""
    kept = _all_kept(http)
    ids = [row["id"] for row in kept]
    assert len(ids) == len(set(ids)), "an answer is listed twice"
    deleting = journal.deleting()
    acked = {ack.id: ack for ack in journal.acked() if ack.id not in deleting}
    with ThreadPoolExecutor(4) as several:
        for _ in several.map(lambda ack: _is_kept_whole(http, ack), acked.values()):
            pass
    assert not journal.deleted() & set(ids), "an answer whose deletion was acknowledged is still there"
    attempts = journal.attempts()
    sent = {hashlib.sha256(photo(number)).hexdigest(): count for number, count in attempts.items()}
    for image_hash, count in Counter(row["image_hash"] for row in kept).items():
        assert count <= sent.get(image_hash, 0), f"photo {image_hash[:12]} has {count} answers"


def _is_kept_whole(http: httpx.Client, ack: Acked) -> None:
    row = http.get(f"/api/v1/db/predictions/{ack.id}")
    assert row.status_code == 200, f"the acknowledged answer {ack.id} is lost: {row.text}"
    assert body_hash(row.json()["answer"]) == ack.body, f"answer {ack.id} is not what was said"
    served = http.get(f"/api/v1/db/predictions/{ack.id}/photo")
    assert served.status_code == 200, f"the photo of {ack.id} is lost: {served.text}"
    assert hashlib.sha256(served.content).hexdigest() == stored_hash(ack.number), f"the photo of {ack.id} is another"


def _all_kept(http: httpx.Client) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        where: dict[str, str | int] = {"limit": 100, **({"cursor": cursor} if cursor else {})}
        page = http.get("/api/v1/db/predictions", params=where).raise_for_status().json()
        rows += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            assert len(rows) == page["total"]
            return rows
