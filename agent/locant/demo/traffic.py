"""Users: requests of mixed lengths that keep coming, and whether their answers are right."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

from locant.canary.answering import first_difference
from locant.canary.tasks import SHORTEST, ask
from locant.demo.bed import Bed
from locant.demo.engine import Engine

_BATCH = 8
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Served:
    """Requests so far: how many, how many with the right answer, and how many batches raised."""

    requests: int = 0
    right: int = 0
    errors: int = 0

    def since(self, earlier: Served) -> Served:
        """What came after `earlier`."""
        return Served(self.requests - earlier.requests, self.right - earlier.right, self.errors - earlier.errors)


class Traffic:
    """A thread that sends batch after batch through an engine until `close`. The demo knows the right answers; in
    production nobody does."""

    def __init__(self, bed: Bed, engine: Engine, seed: int) -> None:
        self._bed = bed
        self._engine = engine
        self._rng = random.Random(seed)  # noqa: S311  (questions, no secrets)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=f"demo-traffic-{bed.name}", daemon=True)
        self.served = Served()

    def start(self) -> Traffic:
        """Begin."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop after the batch under way."""
        self._stop.set()
        self._thread.join(10.0)

    def _loop(self) -> None:
        while not self._stop.wait(_PAUSE_SECONDS):
            try:
                self.served = self._batch(self.served)
            except (RuntimeError, IndexError):
                self.served = Served(self.served.requests, self.served.right, self.served.errors + 1)

    def _batch(self, before: Served) -> Served:
        """One batch of one task, so that no row decodes past the trained length while it waits for the others."""
        task = self._rng.choice(self._bed.tasks)
        lengths = [self._rng.randint(SHORTEST[task], self._bed.trained_tokens) for _ in range(_BATCH)]
        questions = [ask(task, self._bed.vocabulary, tokens, self._rng) for tokens in lengths]
        answers = self._engine.complete([q.prompt for q in questions], max(len(q.answer) for q in questions))
        pairs = zip(answers, questions, strict=True)
        right = sum(first_difference(answer, question.answer) is None for answer, question in pairs)
        return Served(before.requests + len(questions), before.right + right, before.errors)
