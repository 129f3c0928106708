"""PromQL that a user writes: read token by token, narrowed by labels, and given its range.

No parser: what is needed is where selectors and ranges stand. Whether the rest is PromQL, promtool says.
"""

from locant_slo.expression.placing import PLACE, narrowed, placed, ranges
from locant_slo.expression.selectors import Matcher, Selector, selectors, the_selector
from locant_slo.expression.tokens import Token, tokens

__all__ = [
    "PLACE",
    "Matcher",
    "Selector",
    "Token",
    "narrowed",
    "placed",
    "ranges",
    "selectors",
    "the_selector",
    "tokens",
]
