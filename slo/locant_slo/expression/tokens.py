"""PromQL as tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATTERNS = (
    ("space", r"\s+|\#[^\n]*"),
    ("string", r'"(?:[^"\\\n]|\\.)*"' r"|'(?:[^'\\\n]|\\.)*'" r"|`[^`]*`"),
    ("place", r"\$window\b"),
    ("name", r":?[a-zA-Z_][a-zA-Z0-9_:]*"),
    ("number", r"(?:[0-9.][0-9a-zA-Z_.]*(?:(?<=[eE])[+-][0-9]+)?)"),
    ("mark", r"=~|!~|!=|==|<=|>=|[-+*/%^<>=(){}\[\],:@]"),
)
_TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS))
_PAIRS = {")": "(", "}": "{", "]": "["}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `kind` is string, place, name, number or mark; `start` and `end` are offsets into the text."""

    kind: str
    text: str
    start: int
    end: int


def tokens(text: str) -> tuple[Token, ...]:
    """The tokens of `text` without spaces and comments; brackets are balanced.

    Raises ValueError with a sentence where a character belongs to nothing or a bracket stays open.
    """
    found: list[Token] = []
    open_brackets: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(_stranger(text, at))
        token = Token(match.lastgroup or "", match.group(), match.start(), match.end())
        at = match.end()
        if token.kind != "space":
            found.append(token)
            _balance(token, open_brackets)
    if open_brackets:
        raise ValueError(f"the {open_brackets[-1].text!r} at character {open_brackets[-1].start + 1} is never closed")
    return tuple(found)


def uncommented(text: str) -> str:
    """`text` without its comments, so that it may stand in the middle of a line. Raises ValueError as `tokens` does."""
    tokens(text)
    return "".join(found.group() for found in _TOKEN.finditer(text) if not found.group().startswith("#")).strip()


def _balance(token: Token, open_brackets: list[Token]) -> None:
    if token.kind != "mark":
        return
    if token.text in _PAIRS.values():
        open_brackets.append(token)
    elif token.text in _PAIRS and (not open_brackets or open_brackets.pop().text != _PAIRS[token.text]):
        raise ValueError(f"the {token.text!r} at character {token.start + 1} closes nothing")


def _stranger(text: str, at: int) -> str:
    if text.startswith("$", at):
        return f"character {at + 1}: of '$' only $window is known, as the range in x_total[$window]"
    if text[at] in "\"'`":
        return f"the string that begins at character {at + 1} is never closed"
    return f"character {at + 1}: {text[at]!r} is no PromQL"
