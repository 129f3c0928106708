"""PromQL of others as the counts that Locant wants: a counter's selector, or an expression over `[$window]`.

Others divide rates; Locant counts events, for its guards and budgets need counts. A rate times its window is a count,
so in a sum or a difference of rates each becomes an increase and the ratio stays the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from locant_slo.expression import PLACE, Token, selectors, the_selector, tokens, uncommented

_GO_WINDOW = re.compile(r"\{\{-?\s*\.window\s*-?\}\}")
_GO = re.compile(r"\{\{.*?\}\}")
_BENDING = frozenset({"/", "*", "%", "^", "==", "<", ">", "<=", ">="})
_WITHOUT = "it groups by what `without` leaves; here its series are added up: name the labels to keep in group_by"
_UNSUMMED = (
    "it is no sum: its series are added up here, and have no ratios of their own; name labels to keep in group_by"
)
_NO_COUNTS = "it multiplies or compares rates, so it gives no counts: minimum_bad_events means less"
_CLOSES = {"(": ")", "{": "}", "[": "]"}


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL as Locant reads it, the labels it groups by (None: it does not say) and what to know about it."""

    text: str
    group: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def windowed(text: str) -> str:
    """`text` with `$window` for the Go template `{{.window}}`, without comments.

    Raises ValueError for any other template, and for what is no PromQL.
    """
    text = _GO_WINDOW.sub(PLACE, text.strip())
    if match := _GO.search(text):
        raise ValueError(f"{match.group()} is a template of another program; write the PromQL that it stands for")
    return uncommented(text)


def counting(text: str) -> Query:
    """A query that counts events: `sum by (a) (rate(x[$window]))` becomes the selector `x`, grouped by `a`."""
    text = bare(text)
    if (counter := _rated(text)) is not None:
        return Query(counter, None, (_UNSUMMED,))
    group, inside = summed(text)
    if inside is not None:
        selector = the_selector(inside)
        counter = inside if selector is not None else _rated(inside)
        if counter is not None:
            return Query(counter, group)
    return _scaled(text)


def _rated(text: str) -> str | None:
    """The selector of `rate(selector[$window])` or `increase(...)`."""
    parts = tokens(text)
    words = [token.text for token in parts]
    if len(words) < 6 or words[0] not in {"rate", "increase"} or [words[1], *words[-4:]] != ["(", "[", PLACE, "]", ")"]:
        return None
    if closing(parts, 1) != len(parts) - 1:
        return None
    inside = text[parts[1].end : parts[-4].start].strip()
    return inside if the_selector(inside) is not None else None


def _scaled(text: str) -> Query:
    parts = tokens(text)
    group = grouped(text)
    rates = [token for token, after in pairwise(parts) if (token.text, after.text) == ("rate", "(")]
    notes = (_WITHOUT,) if any(token.text.lower() == "without" for token in parts) else ()
    if rates and _bends(text):
        return Query(text, group, (*notes, _NO_COUNTS))
    for token in reversed(rates):
        text = f"{text[: token.start]}increase{text[token.end :]}"
    return Query(text, group, notes)


def _bends(text: str) -> bool:
    """Whether the value is no sum of its rates: then a count is not the rate's value times the window."""
    marks = [token for token in tokens(text) if token.kind == "mark" and token.text in _BENDING]
    inside = [(selector.start, selector.end) for selector in selectors(text)]
    return any(not any(start <= mark.start < end for start, end in inside) for mark in marks)


def bare(text: str) -> str:
    """`text` without the brackets around the whole of it."""
    text = text.strip()
    parts = tokens(text)
    while parts and parts[0].text == "(" and closing(parts, 0) == len(parts) - 1:
        text = text[parts[0].end : parts[-1].start].strip()
        parts = tokens(text)
    return text


def summed(text: str) -> tuple[tuple[str, ...], str | None]:
    """Labels and inside of `sum by (labels) (inside)`, in both orders; inside is None where `text` is no such sum."""
    parts = tokens(text)
    if len(parts) < 3 or parts[0].text.lower() != "sum":
        return (), None
    at = 1
    group: tuple[str, ...] = ()
    if parts[1].text.lower() == "by" and parts[2].text == "(":
        end = closing(parts, 2)
        group, at = listed(parts[3:end]), end + 1
    if at >= len(parts) or parts[at].text != "(":
        return (), None
    end = closing(parts, at)
    inside = text[parts[at].end : parts[end].start].strip()
    rest = parts[end + 1 :]
    if rest and at == 1 and rest[0].text.lower() == "by" and len(rest) > 1 and closing(rest, 1) == len(rest) - 1:
        return listed(rest[2:-1]), inside
    return (group, inside) if not rest else ((), None)


def listed(parts: Sequence[Token]) -> tuple[str, ...]:
    """The names in a list of labels. Raises ValueError for one in quotes, which no `group_by` can hold."""
    if quoted := next((token.text for token in parts if token.kind == "string"), None):
        raise ValueError(f"it groups by {quoted}, and a label in quotes cannot be kept apart here; rename it on scrape")
    return tuple(token.text for token in parts if token.kind == "name")


def grouped(text: str) -> tuple[str, ...] | None:
    """The labels that every `by (...)` of a query names; None where there is none or they differ."""
    parts = tokens(text)
    found = {
        listed(parts[index + 2 : closing(parts, index + 1)])
        for index, token in enumerate(parts[:-1])
        if token.text.lower() == "by" and parts[index + 1].text == "("
    }
    return next(iter(found)) if len(found) == 1 else None


def closing(parts: Sequence[Token], opening: int) -> int:
    """Where the bracket at `opening` closes; `tokens` has balanced them."""
    depth = 0
    for index in range(opening, len(parts)):
        if parts[index].kind == "mark":
            depth += (parts[index].text in _CLOSES) - (parts[index].text in _CLOSES.values())
        if depth == 0:
            return index
    raise ValueError("a bracket is never closed")


def parted(text: str, mark: str) -> list[str]:
    """`text` split at an operator that stands outside all brackets, as in `a or b`."""
    parts = tokens(text)
    depth, start, found = 0, 0, []
    for token in parts:
        if token.kind == "mark":
            depth += (token.text in _CLOSES) - (token.text in _CLOSES.values())
        if depth == 0 and token.text.lower() == mark:
            found.append(text[start : token.start].strip())
            start = token.end
    return [*found, text[start:].strip()]


def same(one: str, other: str) -> bool:
    """Whether two queries have the same tokens."""
    return [token.text for token in tokens(bare(one))] == [token.text for token in tokens(bare(other))]


def unguarded(text: str) -> str:
    """`text` without a final `> 0`: Locant drops idle groups itself."""
    parts = parted(bare(text), ">")
    return parts[0] if len(parts) == 2 and parts[1] == "0" else text


def unfilled(text: str, total: str) -> str:
    """`text` without a final `or vector(0)` or `or 0 * total`: Locant fills with zeros itself, group by group."""
    parts = parted(bare(text), "or")
    if len(parts) != 2:
        return text
    words = [token.text for token in tokens(parts[1])]
    if words[-4:] == ["vector", "(", "0", ")"] and words[:-4] in ([], ["on", "(", ")"]):
        return parts[0]
    return parts[0] if words[:2] == ["0", "*"] and same(parted(parts[1], "*")[1], total) else text
