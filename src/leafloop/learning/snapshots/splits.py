"""On which side of a dataset each photo is: train, val or test, by group and for good. Knows no storage and no pixels.

Photos are *linked* when they have the same bytes or the same kept copy, the same group words, or are near-duplicates. Linked photos
never are on two sides. A group keeps its side for ever; what is new goes by these rules:

1. A photo that is linked to photos of one side joins that side and their group. With several it is left out.
2. New photos that are linked to one another are a group. What rule 1 says of one of them it says of all.
3. A new group goes where its dataset had it, if its photos say so; else to the side that lacks most photos in the group's stratum
   (the class of most of its photos) and in all together. Groups come in the order of their ids, which are hashes, so that nothing
   depends on time, place or the order in which labels came in.
4. What cannot be grouped for sure (`may_test` is false) only trains: as a part of val or test it would make results too good.

A photo that was grouped with one on another side only afterwards cannot be moved: the stronger side stays (test, then val), and the
others are left out from then on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Literal

from leafloop.learning.snapshots.duplicates import Groups

Side = Literal["train", "val", "test"]
SIDES: tuple[Side, ...] = ("train", "val", "test")
SHARES: dict[Side, float] = {"train": 0.70, "val": 0.15, "test": 0.15}  # the usual; rare classes need the larger part
_BIT = {side: 1 << number for number, side in enumerate(SIDES)}
STRONGEST: tuple[Side, ...] = (
    "test",
    "val",
    "train",
)  # which one stays where groups of two sides were merged afterwards

BRIDGES, MERGED, NOT_FOR_TEST = "bridges_two_sides", "merged_with_another_side", "not_for_testing"


@dataclass(frozen=True, slots=True)
class Member:
    """A photo as far as its side is concerned. `group_id` and `side`: what was decided before, None for a new one."""

    image_hash: str
    stored: str  # the kept copy's key
    words: str | None  # plant, plot or session
    stratum: str
    may_test: bool = True
    given: Side | None = None  # where an imported dataset had it
    group_id: str | None = None
    side: Side | None = None
    counts: bool = True  # False: it keeps its place, and is not in this snapshot


@dataclass(frozen=True, slots=True)
class Place:
    """Where a photo goes, or why it is left out (then group and side are None)."""

    group_id: str | None
    side: Side | None
    left_out: str | None = None


@dataclass(frozen=True, slots=True)
class _Links:
    """What has to be on one side: pairs that look alike, and lists of photos that share a name."""

    near: list[tuple[int, int]]
    names: list[list[int]]

    def pairs(self, members: Sequence[Member]) -> Iterator[tuple[int, int]]:
        """Of photos with one name each is linked with one new one and one old one of each side: that says it all. The old one is of
        the side's first group, so that the order in which photos are told says nothing."""
        yield from self.near
        for alike in self.names:
            hubs: dict[Side | None, int] = {}
            for number in sorted(alike, key=lambda number: members[number].group_id or ""):
                hubs.setdefault(members[number].side, number)
            for number in alike:
                yield from ((hub, number) for hub in hubs.values() if hub != number)


def place(members: Sequence[Member], near: Iterable[tuple[int, int]], *, shares: dict[Side, float]) -> list[Place]:
    """The places of all members, in their order. `near`: pairs of numbers of near-duplicates; all other links are found here."""
    links = _Links(list(near), _names(members))
    places: list[Place | None] = [None] * len(members)
    _old(members, links, places)
    fresh = _new(members, links, places)
    _decide(members, fresh, places, shares)
    return [each if each is not None else Place(None, None, BRIDGES) for each in places]


def _names(members: Sequence[Member]) -> list[list[int]]:
    by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, member in enumerate(members):
        by_name["stored", member.stored].append(number)
        if member.words:
            by_name["words", member.words].append(number)
    return [alike for alike in by_name.values() if len(alike) > 1]


def _old(members: Sequence[Member], links: _Links, places: list[Place | None]) -> None:
    """Photos with a side keep it. Where a link joins two sides, only the stronger one stays in what is made from now on."""
    groups = Groups(len(members))
    first: dict[str, int] = {}
    for number, member in enumerate(members):
        if member.group_id is not None:
            groups.join(number, first.setdefault(member.group_id, number))
    for one, other in links.pairs(members):
        if members[one].side and members[other].side:
            groups.join(one, other)
    sides: dict[int, int] = defaultdict(int)
    for number, member in enumerate(members):
        if member.side:
            sides[groups.of(number)] |= _BIT[member.side]
    for number, member in enumerate(members):
        if member.side:
            stays = next(side for side in STRONGEST if sides[groups.of(number)] & _BIT[side])
            fits = member.side == stays
            places[number] = Place(member.group_id, member.side) if fits else Place(None, None, MERGED)


def _new(members: Sequence[Member], links: _Links, places: list[Place | None]) -> list[list[int]]:
    """Rules 1 and 2: give their places to new photos that are linked to old ones; the groups that are new altogether."""
    sides, ids = [0] * len(members), [""] * len(members)
    for pair in links.pairs(members):
        for new, old in (pair, pair[::-1]):
            if members[new].side is None and (side := members[old].side):
                sides[new] |= _BIT[side]
                ids[new] = min(filter(None, (ids[new], members[old].group_id)))
    bridges = {number for number, bits in enumerate(sides) if bits.bit_count() > 1}
    fresh = []
    for group in _together(members, links, bridges):
        bits = 0
        for number in group:
            bits |= sides[number]
        if not bits:
            fresh.append(group)
        elif bits.bit_count() == 1:
            _join(members, group, bits, min(ids[number] for number in group if ids[number]), places)
    return fresh


def _together(members: Sequence[Member], links: _Links, bridges: set[int]) -> list[list[int]]:
    """New photos by what links them with each other; those that bridge link nothing."""
    groups = Groups(len(members))
    free = [member.side is None and number not in bridges for number, member in enumerate(members)]
    among_names = (pairwise(number for number in alike if free[number]) for alike in links.names)
    for one, other in chain(links.near, chain.from_iterable(among_names)):
        if free[one] and free[other]:
            groups.join(one, other)
    found: dict[int, list[int]] = defaultdict(list)
    for number in filter(free.__getitem__, range(len(members))):
        found[groups.of(number)].append(number)
    return list(found.values())


def _join(members: Sequence[Member], group: list[int], bits: int, group_id: str, places: list[Place | None]) -> None:
    side = next(side for side in SIDES if _BIT[side] == bits)
    for number in group:
        may = side == "train" or members[number].may_test
        places[number] = Place(group_id, side) if may else Place(None, None, NOT_FOR_TEST)


def _decide(
    members: Sequence[Member], fresh: list[list[int]], places: list[Place | None], shares: dict[Side, float]
) -> None:
    """Rule 3 and 4: a side for each new group."""
    counts: dict[str | None, Counter[Side]] = defaultdict(Counter)  # by stratum; None: all together
    for member, where in zip(members, places, strict=True):
        if where is not None and where.side is not None and member.counts:
            counts[member.stratum][where.side] += 1
            counts[None][where.side] += 1
    named = sorted((min(members[number].image_hash for number in group), group) for group in fresh)
    for group_id, group in named:
        side = _side([members[number] for number in group], counts, shares)
        for number in group:
            places[number] = Place(group_id, side)
            counts[members[number].stratum][side] += 1
            counts[None][side] += 1


def _side(group: list[Member], counts: dict[str | None, Counter[Side]], shares: dict[Side, float]) -> Side:
    if not all(member.may_test for member in group):
        return "train"
    given = {member.given for member in group if member.given}
    if given:  # where they disagree, the one from which least can leak
        return next(side for side in SIDES if side in given)
    strata = Counter(member.stratum for member in group)
    stratum = min(strata, key=lambda name: (-strata[name], name))
    lacks = {side: _lack(counts[stratum], side, strata[stratum], shares) for side in SIDES}
    # In a rare class the first photos would all train; the second term gives val and test theirs among many rare ones.
    lacks = {side: lack + _lack(counts[None], side, len(group), shares) for side, lack in lacks.items()}
    return max(SIDES, key=lambda side: (round(lacks[side], 6), -SIDES.index(side)))


def _lack(have: Counter[Side], side: Side, coming: int, shares: dict[Side, float]) -> float:
    """How many photos a side lacks once `coming` ones are there."""
    return shares[side] * (have.total() + coming) - have[side]
