"""What counts of right and wrong answers say: an interval for one release, evidence for two."""

from __future__ import annotations

from math import comb, log, sqrt
from statistics import NormalDist


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided Wilson score interval for a proportion; (0, 1) without trials, because nothing is known then.

    Source: Wilson 1927; it keeps its coverage near 0 and 1, where the normal interval collapses to a point.
    """
    if trials == 0:
        return 0.0, 1.0
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    ratio = successes / trials
    centre = (ratio + z2 / (2 * trials)) / (1 + z2 / trials)
    half = sqrt(z2 * (ratio * (1 - ratio) + z2 / (4 * trials)) / trials) / (1 + z2 / trials)
    lower = 0.0 if successes == 0 else centre - half
    upper = 1.0 if successes == trials else centre + half
    return lower, upper


def paired_log_evidence(newly_failing: int, newly_passing: int) -> float:
    """Log (nats) of the e-value that a release is worse than its predecessor on the same cases.

    With b newly failing and c newly passing cases, each flip under the null is a fair coin; the alternative puts a
    uniform prior on P(flip is a failure) > 1/2:
        E = 2^(b+c+1) B(1+b, 1+c) (1 - I_0.5(1+b, 1+c)) = sum over k > c of C(n, k) / (n C(n-1, b)),  n = b + c + 1,
    computed in integers, hence exact. By Ville's inequality it exceeds 1/alpha with probability at most alpha under the
    null however often one looks: 4.6 is 1 %, 6.9 is 0.1 %.
    """
    flips = newly_failing + newly_passing + 1
    term = comb(flips, newly_passing)
    tail = 2**flips - sum(comb(flips, k) for k in range(newly_passing)) - term
    return log(tail) - log(flips * comb(flips - 1, newly_failing))
