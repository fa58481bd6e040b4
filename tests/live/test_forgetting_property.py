"""Whatever was done before in whatever order: once a person is erased, nothing by them is left but tombstones."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.live import people
from tests.live.people import ANA, BEN, Author

from leafloop.learning.keeping import erasure
from leafloop.live import erasing, forgetting
from leafloop.live.parts import Store
from leafloop.storage import predictions
from leafloop.storage.ledger import Ledger
from leafloop.storage.tables import Photo, Prediction, SnapshotPhoto, Tombstone

PICTURES = (b"one", b"two", b"three")
author = st.sampled_from([ANA, BEN])
picture = st.sampled_from(PICTURES)
nth = st.integers(0, 9)
doing = st.one_of(
    st.tuples(st.just("send"), author, picture),
    st.tuples(st.just("say"), author, nth),
    st.tuples(st.just("label"), author, nth),
    st.tuples(st.just("bring"), st.just(BEN), picture),
    st.tuples(st.just("freeze"), st.just(BEN), nth),
    st.tuples(st.just("delete"), st.just(BEN), nth),
    st.tuples(st.just("erase"), st.just(ANA), nth),
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the newest schema and no rows: to be copied, since making one takes longer than all else here."""
    path = tmp_path_factory.mktemp("empty") / "leafloop.db"
    ledger = Ledger(f"sqlite:///{path}")
    ledger.upgrade()
    ledger.close()
    return path


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(doings=st.lists(doing, max_size=14))
def test_no_row_and_no_object_of_an_erased_person_is_left_but_tombstones(
    empty: Path, doings: list[tuple[str, Author, bytes | int]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(empty, folder / "a.db")
        with people.store_at(f"sqlite:///{folder / 'a.db'}", folder) as store:
            world = World(store)
            for what, who, which in doings:
                getattr(world, what)(who, which)
            manifests = {name: store.blobs.get(name) for name in world.snapshots}
            world.erase()
            assert "ana.cruz" not in people.everything(store)
            assert {name: store.blobs.get(name) for name in world.snapshots} == manifests
            for data in PICTURES:
                _check(world, data)
            for answer in world.answers(BEN):
                assert store.blobs.has(answer.image_path)


def _check(world: World, data: bytes) -> None:
    image_hash = people.received(data)
    with world.store.ledger.reading() as session:
        buried = session.get(Tombstone, image_hash) is not None
        frozen = (
            session.scalar(select(SnapshotPhoto.image_hash).where(SnapshotPhoto.image_hash == image_hash)) is not None
        )
    if world.senders[data] == {ANA}:  # nobody else ever had it
        assert data not in world.objects()
        assert buried == frozen
    if ANA not in world.senders[data]:
        assert not buried
        assert not frozen or data in world.objects()


class World:
    """The doings, and who ever had which picture."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.senders: dict[bytes, set[Author | None]] = {data: set() for data in PICTURES}
        self.snapshots: set[str] = set()

    def answers(self, who: Author | None = None) -> list[Prediction]:
        chosen = select(Prediction).order_by(Prediction.timestamp)
        with self.store.ledger.reading() as session:
            rows = session.scalars(chosen.where(Prediction.user_id == who[1]) if who else chosen)
            return list(rows)

    def objects(self) -> list[bytes]:
        return people.objects(self.store)

    def send(self, who: Author, data: bytes) -> None:
        people.send(self.store, data, who)
        self.senders[data].add(who)

    def say(self, who: Author, which: int) -> None:
        self._with_answer(which, lambda answer: people.say(self.store, answer, who))

    def label(self, who: Author, which: int) -> None:
        self._with_answer(which, lambda answer: people.label(self.store, answer, str(who[1])))

    def bring(self, _: Author, data: bytes) -> None:
        people.bring(self.store, data)
        self.senders[data].add(None)

    def freeze(self, *_: object) -> None:
        self.snapshots |= {name for name in [people.freeze(self.store)] if name}

    def delete(self, _: Author, which: int) -> None:
        def gone(answer: str) -> None:
            with self.store.ledger.transaction() as session:
                deletion = predictions.delete(session, answer)
            assert deletion is not None
            erasing.remove_objects(self.store.ledger, self.store.blobs, deletion.objects)

        self._with_answer(which, gone)

    def erase(self, *_: object) -> None:
        with self.store.ledger.reading() as session:
            whom = erasure.person(session, "ana.cruz", None, every_key=True)
        forgetting.erase(self.store, whom, reason="request 17")
        for data, senders in self.senders.items():
            with self.store.ledger.reading() as session:
                there = session.scalar(select(Photo.id).where(Photo.sha256 == people.received(data)).limit(1))
            if senders == {ANA} and there is None:
                assert data not in self.objects()

    def _with_answer(self, which: int, do: Callable[[str], object]) -> None:
        rows = self.answers()
        if rows:
            do(rows[which % len(rows)].id)
