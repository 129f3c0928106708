"""The vector selectors of a PromQL text: where each stands, its metric and its matchers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from locant_slo.expression.tokens import Token, tokens

_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = frozenset({"and", "or", "unless", "atan2", "bool", "offset", "inf", "nan"})
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"} | {c: c for c in "\\\"'"}
_OPERATORS = frozenset({"=", "!=", "=~", "!~"})


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label matcher."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """One vector selector from `start` to `end`; `name` is empty where only matchers pick it. `quoted`: UTF-8 names."""

    name: str
    matchers: tuple[Matcher, ...]
    start: int
    end: int
    quoted: bool = False

    def matcher(self, label: str) -> Matcher | None:
        """The first matcher of a label."""
        return next((matcher for matcher in self.matchers if matcher.label == label), None)


def selectors(text: str) -> tuple[Selector, ...]:
    """Every selector in order. Raises ValueError with a sentence where the text is none of PromQL."""
    return tuple(_selectors(tokens(text)))


def the_selector(text: str) -> Selector | None:
    """The selector that `text` is as a whole, or None where it is more than that."""
    found = selectors(text)
    return found[0] if len(found) == 1 and text.strip() == text[found[0].start : found[0].end] else None


def suffixed(text: str, suffix: str) -> str:
    """A selector of the metric whose name ends in `suffix`, where `text` is a selector with a name, quoted or not."""
    parts = tokens(text)
    quoted = (
        token.end - 1
        for before, token, after in zip(parts, parts[1:], parts[2:], strict=False)
        if token.kind == "string" and before.text in {"{", ","} and after.text in {"}", ","}
    )
    at = parts[0].end if parts[0].kind == "name" else next(quoted)
    return f"{text[:at]}{suffix}{text[at:]}"


def _selectors(parts: Sequence[Token]) -> Iterator[Selector]:
    at = 0
    while at < len(parts):
        token, after = parts[at], parts[at + 1].text if at + 1 < len(parts) else ""
        if token.kind == "name" and token.text.lower() in _LISTS and after == "(":
            at = _closing(parts, at + 1) + 1
        elif token.kind == "name" and after != "(" and not _is_word(parts, at):
            end = _closing(parts, at + 1) if after == "{" else at
            yield _selector(parts, at, end)
            at = end + 1
        elif token.text == "{":
            end = _closing(parts, at)
            yield _selector(parts, at, end)
            at = end + 1
        else:
            at += 1


def _is_word(parts: Sequence[Token], at: int) -> bool:
    """A keyword, a bare `by`, or an aggregation whose list of labels stands first: `sum by (a) (x)`."""
    word = parts[at].text.lower()
    follows = parts[at + 1].text.lower() if at + 1 < len(parts) else ""
    return word in _WORDS or word in _LISTS or follows in {"by", "without"}


def _closing(parts: Sequence[Token], opening: int) -> int:
    depth = 0
    for index in range(opening, len(parts)):
        if parts[index].kind == "mark":
            depth += (parts[index].text in "({[") - (parts[index].text in ")}]")
        if depth == 0:
            return index
    raise ValueError("a bracket is never closed")  # tokens() has balanced them


def _selector(parts: Sequence[Token], first: int, last: int) -> Selector:
    name = parts[first].text if parts[first].kind == "name" else ""
    inside = parts[first + (2 if name else 1) : last]
    matchers: list[Matcher] = []
    quoted = False
    at = 0
    while at < len(inside):
        label, operator = inside[at], inside[at + 1].text if at + 1 < len(inside) else ""
        quoted = quoted or label.kind == "string"
        if label.kind == "string" and operator in {"", ","}:
            name = unquoted(label.text)
            at += 2
            continue
        value = inside[at + 2] if at + 2 < len(inside) else None
        known = label.kind in {"name", "string"} and operator in _OPERATORS
        if not known or value is None or value.kind != "string":
            raise ValueError(f'{label.text!r} begins no matcher; write label="value", separated by commas')
        word = label.text if label.kind == "name" else unquoted(label.text)
        matchers.append(Matcher(word, operator, unquoted(value.text)))
        at += 4
    return Selector(name, tuple(matchers), parts[first].start, parts[last].end, quoted)


def unquoted(text: str) -> str:
    """What a string literal says, with Go's escapes."""
    return text[1:-1] if text.startswith("`") else _ESCAPE.sub(_escaped, text[1:-1])


def _escaped(match: re.Match[str]) -> str:
    word = match.group(1)
    if word in _ESCAPES:
        return _ESCAPES[word]
    if len(word) > 1:
        return chr(int(word.lstrip("xuU"), 8 if word[0].isdigit() else 16))
    raise ValueError(f"\\{word} is no escape; write a regular expression's backslash twice, as in \\\\{word}")
