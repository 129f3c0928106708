"""PromQL that a user writes: read token by token, narrowed by labels, and given its range.

No parser: what is needed is where selectors and ranges stand. Whether the rest is PromQL, promtool says.
"""

from locant_slo.expression.placing import PLACE, matched, narrowed, placed, ranges
from locant_slo.expression.selectors import Matcher, Selector, selectors, suffixed, the_selector
from locant_slo.expression.tokens import Token, tokens, uncommented

__all__ = [
    "PLACE",
    "Matcher",
    "Selector",
    "Token",
    "matched",
    "narrowed",
    "placed",
    "ranges",
    "selectors",
    "suffixed",
    "the_selector",
    "tokens",
    "uncommented",
]
