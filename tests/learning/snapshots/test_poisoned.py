"""Somebody is out to mislead (row 35 of the faults): what the caps, the quality gate and erasing leave of their photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.learning.labelled import CLASSES, Labelled, labelled

from leafloop.learning.keeping.erasure import Person
from leafloop.learning.snapshots.building import Made, Options
from leafloop.learning.snapshots.shares import AuthorCap
from leafloop.live import forgetting
from leafloop.live.parts import Store
from leafloop.settings import Settings

HONEST, HIS = 100, 300
FLIPPED = (HONEST + HIS) // 20  # 5 % of all labels
CAPS = AuthorCap(share=0.25, floor=4, key_share=0.25)


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Labelled]:
    """Fifty people, two photos each, by phones of their own; and one who has sent three times as many, of which some are lies."""
    place = labelled(f"sqlite:///{tmp_path / 'l.db'}", tmp_path)
    for person in range(HONEST // 2):
        place.many(2, f"honest-{person}-", user_id=f"farmer {person}", key_id=f"phone{person:03}")
    yield place
    place.ledger.close()


def mislead(field: Labelled, **who: Any) -> None:
    """The flipped ones say the last class of what is the first."""
    with field.ledger.transaction() as session:
        for number in range(HIS):
            lies = number < FLIPPED
            name = f"{'lie' if lies else 'bait'}-{number}"
            whose = {kind: value(number) if callable(value) else value for kind, value in who.items()}
            field.add(name, len(CLASSES.class_names) - 1 if lies else 1, within=session, **whose)


def trained_on(field: Labelled, made: Made) -> tuple[list[str], list[str], list[str]]:
    """(honest photos, his, and of his those that lie), on the side that is trained on."""
    train = [name for name, side in field.sides(made).items() if side == "train"]
    his = [name for name in train if not name.startswith("honest")]
    return [name for name in train if name.startswith("honest")], his, [name for name in his if name.startswith("lie")]


@pytest.mark.parametrize(
    "user_id",
    ["mallory", lambda number: f"mallory {number}"],
    ids=["under one name", "under a new name for each photo"],
)
def test_one_who_flips_labels_has_a_share_of_the_training_set_and_no_more(field: Labelled, user_id: Any) -> None:
    mislead(field, user_id=user_id, key_id="hiskey00")
    uncapped = field.make(Options(allow_small=True, author_cap=AuthorCap(1, 0, 1)), dry_run=True)
    assert "over_author_cap" not in uncapped.left_out
    made = field.make(Options(allow_small=True, author_cap=CAPS))
    honest, his, lies = trained_on(field, made)
    assert len(honest) > HONEST / 2  # none of theirs was left out for his sake
    assert CAPS.floor <= len(his) <= CAPS.share * (len(honest) + len(his))
    assert len(lies) < FLIPPED / 2
    assert made.left_out["over_author_cap"] > HIS / 2


def test_his_poor_photos_do_not_pass_the_gate(field: Labelled) -> None:
    mislead(field, user_id="mallory", key_id="hiskey00", blur_score=1.0, quality_score=0.0)
    _, his, _ = trained_on(field, field.make())
    assert his == []


def test_a_snapshot_after_he_was_erased_has_nothing_of_his(field: Labelled, tmp_path: Path) -> None:
    before = set(field.sides(field.make()))
    mislead(field, user_id="mallory", key_id="hiskey00")
    poisoned = field.make()
    assert trained_on(field, poisoned)[2]
    store = Store(Settings(home=tmp_path), CLASSES, field.ledger, field.blobs)
    done = forgetting.erase(store, Person("mallory", ("hiskey00",)), reason="poisoned")
    assert done.removed["labels"] == HIS
    assert [row["hash"] for row in done.snapshots] == [poisoned.hash]
    assert set(field.sides(field.make())) == before


def test_keys_that_have_little_to_say_are_not_capped_and_no_key_is_nobodys() -> None:
    cap = AuthorCap(share=1, floor=3, key_share=0.5)
    assert cap.over([("a", "x")] * 3 + [("b", "y")]) == []
    assert cap.over([(None, str(number)) for number in range(50)] + [("b", "y")]) == []
    assert cap.over([("a", str(number)) for number in range(50)] + [("b", "y")] * 3) == list(range(3, 50))
