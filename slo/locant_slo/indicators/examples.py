"""Series that a selector picks, and series that it does not: for proofs, and to tell populations apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from locant_slo.expression import Matcher, Selector
from locant_slo.indicators.counting import Input

_STRANGER = "tested"
_REWRITES = (
    (re.compile(r"\[\^[^\]]*\]"), "~"),
    (re.compile(r"\[\\?([^\]])[^\]]*\]"), r"\1"),
    (re.compile(r"\\d"), "1"),
    (re.compile(r"\\w"), "w"),
    (re.compile(r"\.[+*]\??"), "x"),
    (re.compile(r"(?<!\\)\."), "0"),
    (re.compile(r"\\"), ""),
    (re.compile(r"[?+*^$]"), ""),
)


def holds(matcher: Matcher, value: str) -> bool:
    """Whether a label's value satisfies a matcher. A missing label is the empty string."""
    if matcher.operator in {"=", "!="}:
        return (value == matcher.value) == (matcher.operator == "=")
    try:
        return (re.fullmatch(matcher.value, value) is not None) == (matcher.operator == "=~")
    except re.error:
        return False


def example(must: Sequence[Matcher], unlike: Sequence[Matcher] = ()) -> dict[str, str] | None:
    """Labels that satisfy all of `must`, and not all of `unlike` where given; None where none were found."""
    names = sorted({matcher.label for matcher in (*must, *unlike)})
    choices = {
        name: [value for value in _candidates(name, (*must, *unlike)) if _fits(name, value, must)] for name in names
    }
    if any(not values for values in choices.values()):
        return None
    plain = {name: values[0] for name, values in choices.items()}
    for name, values in choices.items():
        for value in values if unlike else values[:1]:
            labels = plain | {name: value}
            if not unlike or any(not holds(matcher, labels.get(matcher.label, "")) for matcher in unlike):
                return {label: text for label, text in labels.items() if text}
    return None if unlike else {label: text for label, text in plain.items() if text}


def _fits(name: str, value: str, must: Sequence[Matcher]) -> bool:
    return all(holds(matcher, value) for matcher in must if matcher.label == name)


def _candidates(name: str, matchers: Sequence[Matcher]) -> list[str]:
    found = []
    for matcher in matchers:
        if matcher.label == name and matcher.operator in {"=", "!="}:
            found.append(matcher.value)
        elif matcher.label == name:
            found += _matching(matcher.value)
    return [*found, _STRANGER, ""]


def _matching(pattern: str) -> Iterator[str]:
    """Strings that a simple pattern may match; whether they do is checked by who asks."""
    for piece in re.sub(r"\((\?:)?|\)", "", pattern).split("|"):
        for rule, text in _REWRITES:
            piece = rule.sub(text, piece)
        yield piece


def pair(good: Selector | None, bad: Selector | None, total: Selector | None) -> tuple[Input, ...]:
    """Input series for two of three counters; empty where no labels are found that tell them apart."""
    if total is None:
        assert good is not None
        assert bad is not None
        parts = [(good, "good", bad if bad.name == good.name else None), (bad, "bad", None)]
    elif bad is not None:
        other = (total, "good", bad) if bad.name == total.name else (total, "all", None)
        parts = [(bad, "bad", None), other]
    else:
        assert good is not None
        other = (total, "bad", good) if good.name == total.name else (total, "all", None)
        parts = [(good, "good", None), other]
    made = []
    for selector, share, unlike in parts:
        same = total.matchers if total is not None and total.name == selector.name else ()
        everything = unlike is not None and not unlike.matchers  # then nothing is left for the other share
        labels = None if everything else example((*selector.matchers, *same), unlike.matchers if unlike else ())
        if labels is None:
            return ()
        made.append(Input(selector.name, labels, share))  # type: ignore[arg-type]  # the three words above
    return tuple(made)


def outsiders(name: str, part: Selector, total: Selector) -> Iterator[str]:
    """What `part` may count and `total` does not: sentences, one for each matcher that `part` lacks or breaks."""
    for wanted in total.matchers:
        own = [matcher for matcher in part.matchers if matcher.label == wanted.label]
        if wanted in own:
            continue
        value = (example(own) or {}).get(wanted.label, "") if own else None
        if value is None or not holds(wanted, value):
            text = f'{wanted.label}{wanted.operator}"{wanted.value}"'
            yield f"total counts only {text}, and {name} is not held to it; put the same matcher into both"
