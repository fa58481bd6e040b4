"""How far an author's word is trusted, from what reviewers made of earlier ones. It orders the queue; it never makes a label.

    trust = the 5 % quantile of Beta(1 + accepted, 1 + overruled)

That is the lower bound, 95 % sure, of the share of this author's words that hold, beginning with every share equally likely
(Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.4). Somebody new has 0.05, ten accepted words make 0.76, and one that is
overruled after them takes it back to 0.66. The quantile is SciPy's `betaincinv`. Counted is what reviews made of claims
(`feedback.judged`): a remark, another word or an undo after a review changes nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from leafloop.learning.words.word import Author
from leafloop.storage import words

SURE = 0.95
# Below it we are not sure that more than half of an author's words hold. It is asked only of those who were overruled: to be new
# is no reason for mistrust.
LOW_TRUST = 0.5


def trust(accepted: int, overruled: int) -> float:
    """The formula."""
    from scipy.special import betaincinv  # half a second, which no start of a command should wait for

    return float(betaincinv(1 + accepted, 1 + overruled, 1 - SURE))


def trust_of(session: Session, author: Author) -> float:
    """In (0, 1)."""
    key = (author.key_id, author.user_id)
    return trust(*words.settled_counts(session, [key]).get(key, (0, 0)))


def lowest_trust(session: Session, authors: Iterable[Author]) -> float | None:
    """The least trust in any of them, if it is low; None: nobody among them was overruled too often."""
    return min(low_trust(session, authors).values(), default=None)


def low_trust(session: Session, authors: Iterable[Author]) -> dict[Author, float]:
    """Those who were overruled too often, and how far each is trusted."""
    counted = words.settled_counts(session, ((author.key_id, author.user_id) for author in authors))
    found = {Author(*who): trust(accepted, overruled) for who, (accepted, overruled) in counted.items() if overruled}
    return {author: low for author, low in found.items() if low < LOW_TRUST}
