"""The accountant: facts and verdicts become counters, one small file for each family of indicators."""

from locant.sidecar.accountant.birth import KnownCheck
from locant.sidecar.accountant.books import Books
from locant.sidecar.accountant.health import Deltas, drops
from locant.sidecar.accountant.integrity import Step, Verdict

__all__ = ["Books", "Deltas", "KnownCheck", "Step", "Verdict", "drops"]
