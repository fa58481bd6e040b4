"""Intervals of a share that was counted. Knows nothing of what was counted."""

from __future__ import annotations

LEVEL = 0.95


def share_interval(hits: int, of: int, *, level: float = LEVEL) -> tuple[float, float] | None:
    """Where the true share lies after `hits` of `of`, at least `level` sure whatever it is; None: nothing was counted.

    Clopper and Pearson's exact interval (Biometrika 26, 1934), by SciPy's inverse of the incomplete beta function. It is wider
    than Wilson's where counts are few, and never promises more than it holds (Brown, Cai and DasGupta, Statistical Science 16,
    2001).
    """
    if of == 0:
        return None
    from scipy.special import betaincinv  # half a second, which no start of a command should wait for

    tail = (1 - level) / 2
    low = betaincinv(hits, of - hits + 1, tail) if hits else 0.0
    high = betaincinv(hits + 1, of - hits, 1 - tail) if hits < of else 1.0
    return float(low), float(high)
