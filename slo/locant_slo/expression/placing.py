"""Labels put into every selector, and the range put where `$window` stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from locant_slo import promql
from locant_slo.expression.selectors import Selector, selectors
from locant_slo.expression.tokens import Token, tokens

PLACE = "$window"
"""Where the range belongs: the whole content of a range, or the first half of a subquery's."""


def narrowed(text: str, matchers: Mapping[str, str]) -> str:
    """`text` with `matchers` in each selector that has none for their label."""
    for selector in reversed(selectors(text)):
        missing = {label: value for label, value in matchers.items() if selector.matcher(label) is None}
        text = _with(text, selector, missing)
    return text


def matched(text: str, label: str, value: str) -> str:
    """`text` with a matcher in each selector, beside what it says about that label itself."""
    for selector in reversed(selectors(text)):
        text = _with(text, selector, {label: value})
    return text


def _with(text: str, selector: Selector, matchers: Mapping[str, str]) -> str:
    if not matchers:
        return text
    more = ", ".join(promql.matcher(label, value) for label, value in matchers.items())
    if text[selector.end - 1] != "}":
        return f"{text[: selector.end]}{{{more}}}{text[selector.end :]}"
    head = text[: selector.end - 1].rstrip().rstrip(",")
    return f"{head}{'' if head.endswith('{') else ', '}{more}{text[selector.end - 1 :]}"


def placed(text: str, window: str) -> str:
    """`text` with `window` in place of every `$window`. Raises ValueError where one stands outside a range."""
    parts = tokens(text)
    for index in reversed(range(len(parts))):
        if parts[index].kind != "place":
            continue
        before, after = (parts[at].text if 0 <= at < len(parts) else "" for at in (index - 1, index + 1))
        if before != "[" or after not in {"]", ":"}:
            raise ValueError(f"{PLACE} stands for a range and nothing else, as in increase(x_total[{PLACE}])")
        text = text[: parts[index].start] + window + text[parts[index].end :]
    return text


def ranges(text: str) -> Iterator[Token]:
    """The first token of every range: `$window`, or a duration that somebody fixed."""
    parts = tokens(text)
    for before, token in pairwise(parts):
        if before.text == "[" and before.kind == "mark":
            yield token
