"""A suite and a model's profile, laid out as the cases of one run. Pure: the same case id always asks the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from locant.canary.suite import Identities, Questions, Suite
from locant.canary.tasks import SHORTEST, Question, ask
from locant.observation import ModelProfile

_UNKNOWN_TRAINED_TOKENS = 64
_SHIFT_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class LabelCase:
    """A question. `twin` is the id of the same task inside the trained length, for cases beyond it."""

    id: str
    task: str
    tokens: int
    beyond_trained: bool
    question: Question
    twin: str | None = None


@dataclass(frozen=True, slots=True)
class IdentityCase:
    """Two ways to compute the same: `way` names the second one, `amount` its chunk, pad or shift in tokens."""

    id: str
    task: str
    tokens: int
    way: str
    amount: int
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The cases of one run, and what is not asked, with the reason."""

    labelled: tuple[LabelCase, ...]
    identities: tuple[IdentityCase, ...]
    skipped: tuple[str, ...]


def plan(suite: Suite, profile: ModelProfile, round_number: int = 0) -> Plan:
    """The cases of run `round_number` (0, 1, 2 ...) for a model with this profile."""
    skipped: list[str] = []
    labelled: list[LabelCase] = []
    for group in suite.questions:
        reason = _unaskable(profile)
        if reason:
            skipped.append(f"{', '.join(group.tasks)}: {reason}")
        else:
            labelled += _labelled(suite, group, profile, round_number, skipped)
    identities = tuple(_identities(suite.identities, suite.seed, profile)) if suite.identities is not None else ()
    unique = {case.id: case for case in labelled}
    return Plan(tuple(unique.values()), identities, tuple(dict.fromkeys(skipped)))


def _unaskable(profile: ModelProfile) -> str:
    if profile.trained_tokens is None:
        return "the model does not say what length it was trained for"
    return "" if profile.kind == "decoder" else f"an {profile.kind} continues no prompt"


def _labelled(
    suite: Suite, group: Questions, profile: ModelProfile, round_number: int, skipped: list[str]
) -> Iterator[LabelCase]:
    assert suite.vocabulary is not None
    trained = profile.trained_tokens or _UNKNOWN_TRAINED_TOKENS
    inside = [round(share * trained) for share in sorted(group.lengths) if share <= 1]
    beyond = [round(share * trained) for share in sorted(group.lengths) if share > 1]
    if beyond and profile.table_rows is not None:
        skipped.append(f"beyond {trained} tokens: the position table ends there, and reading past it is a crash")
        beyond = []
    first = (round_number % group.rounds) * group.samples
    for task in group.tasks:
        lengths = [tokens for tokens in (*inside, *beyond) if tokens >= SHORTEST[task]]
        for tokens in lengths:
            for number in range(first, first + group.samples):
                rng = random.Random(f"{suite.seed}:{task}:{tokens}:{number}")  # noqa: S311  (questions, no secrets)
                twin = _id(suite, task, inside[-1], number) if tokens > trained and inside else None
                question = ask(task, suite.vocabulary, tokens, rng)
                yield LabelCase(_id(suite, task, tokens, number), task, tokens, tokens > trained, question, twin)


def _id(suite: Suite, task: str, tokens: int, number: int) -> str:
    return f"{suite.name}/{task}/{tokens}/{suite.seed}.{number}"


def _identities(group: Identities, seed: int, profile: ModelProfile) -> Iterator[IdentityCase]:
    """Padding counts towards the length: a padded row must not reach past a position table."""
    trained = profile.trained_tokens or _UNKNOWN_TRAINED_TOKENS
    lengths = sorted({max(4, min(group.longest_tokens, round(share * trained))) for share in group.lengths})
    for length in lengths:
        for check in group.checks:
            for way, amount in _ways(check, length, trained):
                tokens = length - amount if check == "padding" else length
                yield IdentityCase(f"{check}/{way}-{amount}/{tokens}/{seed}", check, tokens, way, amount, seed)


def _ways(check: str, tokens: int, trained: int) -> tuple[tuple[str, int], ...]:
    """The second ways of a check. A shift stays inside the trained length: beyond it scaled rotaries change by law."""
    if check == "stream":
        return (("decode", 1), ("chunks", min(7, tokens // 2)))
    if check == "padding":
        return (("left", max(1, tokens // 4)), ("right", max(1, tokens // 4)))
    room = min(_SHIFT_TOKENS, trained - tokens)
    return (("by", room),) if room >= 1 else ()
