"""Questions that only a model with intact positions answers right. Seeded, pure, and nothing to download.

Letters repeat, so that the content of a token never says where it stood: with distinct letters a model can copy by
looking a letter's neighbour up, and a positional fault stays hidden.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from locant.canary.vocabulary import TaskName, Vocabulary

_ORDERED_LETTERS = 3
_PASSKEY_LETTERS = 2


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt and the one right continuation, end token included."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Prompt and answer together."""
        return len(self.prompt) + len(self.answer)


def ask(task: TaskName, vocabulary: Vocabulary, tokens: int, rng: random.Random) -> Question:
    """A question of `task` that is as long as it can be within `tokens`, prompt and answer together.

    Raises ValueError when `tokens` is too short for the task, KeyError when the vocabulary has no token for it.
    """
    shortest = SHORTEST[task]
    if tokens < shortest:
        raise ValueError(f"a {task} question needs {shortest} tokens; {tokens} are too few")
    body, answer = _BODIES[task](vocabulary, tokens, rng)
    prompt = (vocabulary.bos, vocabulary.tasks[task], *body)
    return Question(prompt, (*answer, vocabulary.eos))


def _letters(vocabulary: Vocabulary, count: int, rng: random.Random, without: tuple[int, ...] = ()) -> list[int]:
    pool = [letter for letter in range(*vocabulary.letters) if letter not in without]
    return rng.choices(pool, k=count)


def _copy(vocabulary: Vocabulary, tokens: int, rng: random.Random) -> tuple[list[int], list[int]]:
    payload = _letters(vocabulary, (tokens - 4) // 2, rng)
    return [*payload, vocabulary.separator], payload


def _reverse(vocabulary: Vocabulary, tokens: int, rng: random.Random) -> tuple[list[int], list[int]]:
    body, payload = _copy(vocabulary, tokens, rng)
    return body, payload[::-1]


def _order(vocabulary: Vocabulary, tokens: int, rng: random.Random) -> tuple[list[int], list[int]]:
    """Three letters stand among blanks (the vocabulary's first letter): name them in the order of their appearance."""
    blank, end = vocabulary.letters
    body = [blank] * (tokens - 4 - _ORDERED_LETTERS)
    named = rng.sample(range(blank + 1, end), _ORDERED_LETTERS)
    for place, letter in zip(sorted(rng.sample(range(len(body)), _ORDERED_LETTERS)), named, strict=True):
        body[place] = letter
    return [*body, vocabulary.separator], named


def _passkey(vocabulary: Vocabulary, tokens: int, rng: random.Random) -> tuple[list[int], list[int]]:
    """A key stands somewhere in filler: what is it?"""
    filler = _letters(vocabulary, tokens - 5 - 2 * _PASSKEY_LETTERS, rng)
    key = _letters(vocabulary, _PASSKEY_LETTERS, rng)
    depth = rng.randint(0, len(filler))
    return [*filler[:depth], vocabulary.key, *key, *filler[depth:], vocabulary.separator], key


_BODIES: dict[TaskName, Callable[[Vocabulary, int, random.Random], tuple[list[int], list[int]]]] = {
    "copy": _copy,
    "reverse": _reverse,
    "order": _order,
    "passkey": _passkey,
}
SHORTEST: dict[TaskName, int] = {"copy": 8, "reverse": 8, "order": 10, "passkey": 9}
"""The fewest tokens in which a question of the task can be put."""
