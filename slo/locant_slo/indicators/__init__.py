"""Service level indicators: the built-in ones here, and one module for each kind that a spec may describe itself.

Every kind answers `count_bad(window, scope)` and `count_all(window, scope)`: PromQL for the number of events in a
window. What is made of the two (rules, boards, proofs) knows no kind. `kinds.AnyIndicator` is their union.
"""

from locant_slo.indicators.built_in import BY_ID, FROM_CANARY, INDICATORS, Indicator

__all__ = ["BY_ID", "FROM_CANARY", "INDICATORS", "Indicator"]
