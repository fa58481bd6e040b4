"""How much of a training set one person, or one key, may have said. Knows no storage.

One author who sends very much, or who is out to mislead, must not decide alone what is learnt (BadDet, arXiv 2205.14497, on what
few poisoned photos do). The cap is a share of all photos that people's feedback brought; a few photos are always allowed, and one
who is alone is not capped, since there is nobody whose share could grow. Who may call themselves what they like within a key is
held by the key's own share, which is larger: a key may be a whole village's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

Author = tuple[str | None, str | None]  # (key, user)


@dataclass(frozen=True)
class AuthorCap:
    """`share` of one author, `key_share` of one key: of the training photos that came by feedback. `floor`: photos that each may
    always have."""

    share: float = 0.5
    floor: int = 20
    key_share: float = 0.8

    def over(self, authors: Sequence[Author]) -> list[int]:
        """The places of those that are too many. The first of each author stay: they come in order of their hashes."""
        over = set(self._over(authors, self.share))
        left = [place for place in range(len(authors)) if place not in over]
        # Without a key people send to a service that only its own machine reaches: that is no one's key.
        keys = [authors[place][0] or f"none {place}" for place in left]
        over |= {left[place] for place in self._over(keys, self.key_share)}
        return sorted(over)

    def _over(self, whose: Sequence[Hashable], share: float) -> list[int]:
        limit, seen, over = self._limit(Counter(whose), share), Counter[Hashable](), []
        for place, one in enumerate(whose):
            seen[one] += 1
            if seen[one] > limit:
                over.append(place)
        return over

    def _limit(self, counts: Counter[Hashable], share: float) -> int:
        """The most photos that one may have: the largest number that is within the share of what is then left."""
        most = max(counts.values(), default=0)
        while len(counts) > 1 and most > self.floor:
            left = sum(min(count, most) for count in counts.values())
            allowed = max(self.floor, int(share * left))
            if allowed >= most:
                break
            most = allowed
        return most
