"""Measures the beds and writes docs/bed.md: `python -m locant.demo.measure > docs/bed.md`."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence

import torch

from locant.canary.answering import first_difference
from locant.canary.tasks import SHORTEST, Question, ask
from locant.canary.vocabulary import TaskName
from locant.demo.bed import Bed, load_bed
from locant.demo.engine import Engine
from locant.demo.faults import Fault
from locant.demo.recipes import RECIPES

_QUESTIONS = 200
_BATCH = 8
_SHARES = (0.5, 0.75, 1.0, 1.125, 1.25, 1.5, 2.0)

_HEAD = """# The two trained beds

Small stock transformers models kept in the package (`locant.demo.bed.load_bed`). `python -m locant.demo.train` trains
them again, each in under two CPU minutes. Letters repeat in their questions, so that only position can answer them.

Measured by `python -m locant.demo.measure`: share of answers that are right to the last token, greedy decoding through
the cache, 200 questions for each number, seed 5.
"""


def main() -> int:
    """Write the page to standard output."""
    torch.set_num_threads(1)
    beds = [load_bed(name) for name in RECIPES]
    lines = [_HEAD, *(line for bed in beds for line in _lengths(bed)), *(line for bed in beds for line in _faults(bed))]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _lengths(bed: Bed) -> Iterator[str]:
    shares = [share for share in _SHARES if share <= 1 or bed.name == "llama"]
    yield f"## {bed.name}: by length\n"
    yield f"| task | {' | '.join(f'{share:g}x ({round(share * bed.trained_tokens)})' for share in shares)} |"
    yield "|---|" + "---|" * len(shares)
    engine = Engine(bed.model, bed.vocabulary.pad)
    for task in bed.tasks:
        found = [accuracy(bed, engine, task, [round(share * bed.trained_tokens)]) for share in shares]
        yield f"| {task} | {' | '.join(f'{value:.3f}' for value in found)} |"
    yield ""


def _faults(bed: Bed) -> Iterator[str]:
    yield f"## {bed.name}: under faults of the engine, in batches of {_BATCH} of mixed lengths\n"
    yield f"| fault | {' | '.join(bed.tasks)} |"
    yield "|---|" + "---|" * len(bed.tasks)
    engine = Engine(bed.model, bed.vocabulary.pad)
    for fault in Fault:
        engine.fault = fault
        found = [accuracy(bed, engine, task, _mixed(bed, task)) for task in bed.tasks]
        yield f"| {fault.value} | {' | '.join(f'{value:.3f}' for value in found)} |"
    yield ""


def accuracy(bed: Bed, engine: Engine, task: TaskName, lengths: Sequence[int]) -> float:
    """Share of right answers to questions that go through `lengths` in turn, asked in batches."""
    rng = random.Random(5)  # noqa: S311  (questions, no secrets)
    right = 0
    for _ in range(_QUESTIONS // _BATCH):
        questions = [ask(task, bed.vocabulary, lengths[row % len(lengths)], rng) for row in range(_BATCH)]
        right += _right(engine, questions)
    return right / _QUESTIONS


def _mixed(bed: Bed, task: TaskName) -> list[int]:
    """Eight lengths from the shortest question to the trained length."""
    step = (bed.trained_tokens - SHORTEST[task]) / (_BATCH - 1)
    return [SHORTEST[task] + round(row * step) for row in range(_BATCH)]


def _right(engine: Engine, questions: Sequence[Question]) -> int:
    answers = engine.complete([q.prompt for q in questions], max(len(q.answer) for q in questions))
    return sum(first_difference(answer, q.answer) is None for answer, q in zip(answers, questions, strict=True))


if __name__ == "__main__":
    sys.exit(main())
