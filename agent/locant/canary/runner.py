"""Asks a living model the questions of a suite, and hands the answers to an agent as facts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import groupby

from torch import nn

from locant.canary.answering import Answer, Losses, first_difference, greedy, losses
from locant.canary.calling import open_model, undisturbed
from locant.canary.identities import difference, inapplicable
from locant.canary.noise import limit_for
from locant.canary.plan import IdentityCase, LabelCase, Plan, plan
from locant.canary.report import CanaryReport, Result
from locant.canary.suite import Suite
from locant.observation import CanaryFacts, ModelProfile, Observation
from locant_slo.statistics import length_bucket, position_bucket


class CanaryRunner:
    """A suite, a model and where the facts go. `run_once` may be called from any thread, one at a time.

    `answer` is the way that questions take: by default a greedy decoding of our own through the model; hand in the
    engine's to test what requests go through. `guard` is held during each batch, for engines that must not be entered
    twice. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        model: nn.Module,
        model_id: int,
        profile: ModelProfile,
        suite: Suite,
        clock: Callable[[], float],
        offer: Callable[[Observation], object],
        *,
        answer: Answer | None = None,
        guard: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.suite = suite
        self._model = open_model(model, profile)
        self._model_id = model_id
        self._clock = clock
        self._offer = offer
        self._pad = suite.vocabulary.pad if suite.vocabulary is not None else profile.pad_id or 0
        self._answer = answer or greedy(self._model, self._pad)
        self._guard = guard
        self._runs = 0

    def run_once(self) -> CanaryReport:
        """Ask everything once. A model that raises has answered wrong; only a broken canary raises."""
        started = time.perf_counter()
        todo = plan(self.suite, self._model.profile, self._runs)
        self._runs += 1
        skipped = list(todo.skipped)
        results = [*self._labelled(todo, skipped), *self._identities(todo.identities, skipped)]
        now = self._clock()
        for number, result in enumerate(results, 1):
            self._offer(self._facts(result, now, last=number == len(results)))
        seconds = time.perf_counter() - started
        unique = tuple(dict.fromkeys(skipped))
        return CanaryReport(self.suite.name, self.suite.checksum, now, seconds, tuple(results), unique)

    def _labelled(self, todo: Plan, skipped: list[str]) -> Iterator[Result]:
        known: dict[str, bool] = {}
        for (beyond, _), group in groupby(sorted(todo.labelled, key=_kind), key=_kind):
            if beyond and self._model.grows:
                skipped.append(
                    "beyond the trained length: long questions would change the rotary table for the traffic"
                )
                continue
            for batch in _mixed(list(group), self.suite.batch):
                for result, case in zip(self._ask(batch), batch, strict=True):
                    known[case.id] = result.right
                    yield replace(result, twin_right=known.get(case.twin) if case.twin else None)

    def _ask(self, batch: Sequence[LabelCase]) -> list[Result]:
        prompts = [case.question.prompt for case in batch]
        longest = max(len(case.question.answer) for case in batch)
        try:
            with self._guard(), undisturbed(self._model.model):
                answers = self._answer(prompts, longest)
                lost = losses(self._model, [case.question for case in batch], self._pad)
        except Exception as error:
            return [_result(case, False, f"the model raised {_named(error)}") for case in batch]
        return [
            replace(_judged(case, got), loss_nats=self._by_bucket(loss))
            for case, got, loss in zip(batch, answers, lost, strict=True)
        ]

    def _identities(self, cases: Sequence[IdentityCase], skipped: list[str]) -> Iterator[Result]:
        for case in cases:
            reason = inapplicable(case, self._model)
            if reason:
                skipped.append(f"{case.task}: {reason}")
            else:
                yield self._compare(case)

    def _compare(self, case: IdentityCase) -> Result:
        try:
            with self._guard(), undisturbed(self._model.model):
                apart, logits = difference(case, self._model)
        except Exception as error:
            return Result(case.id, case.task, case.tokens, False, False, True, f"the model raised {_named(error)}")
        overrides = self.suite.identities.limits if self.suite.identities is not None else {}
        limit = limit_for(self._model.dtype, logits=logits, overrides=overrides)
        unit = " nats" if logits else ""
        detail = f"the two ways are {apart:.2g}{unit} apart, rounding explains {limit:.2g}{unit}"
        return Result(case.id, case.task, case.tokens, False, apart <= limit, True, detail)

    def _by_bucket(self, loss: Losses) -> tuple[tuple[str, float, int], ...]:
        trained = self._model.profile.trained_tokens or 1
        named = [(position_bucket(position, trained), nats) for position, nats in loss]
        sums = {bucket: [nats for name, nats in named if name == bucket] for bucket, _ in named}
        return tuple((bucket, sum(values), len(values)) for bucket, values in sums.items())

    def _facts(self, result: Result, now: float, *, last: bool) -> CanaryFacts:
        return CanaryFacts(
            model_id=self._model_id,
            time=now,
            case=result.case,
            task=result.task,
            length_bucket=length_bucket(result.tokens, self._model.profile.trained_tokens),
            beyond_trained=result.beyond_trained,
            right=result.right,
            twin_right=result.twin_right,
            loss_nats=result.loss_nats,
            last_of_run=last,
        )


def _kind(case: LabelCase) -> tuple[bool, str]:
    """What may share a batch. Tasks may not: a long prompt beside a long answer decodes past the trained length."""
    return case.beyond_trained, case.task


def _mixed(cases: Sequence[LabelCase], size: int) -> Iterator[Sequence[LabelCase]]:
    """Batches that hold short and long questions side by side: padding faults never hurt the longest row."""
    by_length = sorted(cases, key=lambda case: (len(case.question.prompt), case.id))
    batches = -(-len(by_length) // size)
    for start in range(batches):
        yield by_length[start::batches]


def _judged(case: LabelCase, got: Sequence[int]) -> Result:
    wrong = first_difference(got, case.question.answer)
    if wrong is None:
        return _result(case, True, "")
    want = case.question.answer[wrong]
    found = got[wrong] if wrong < len(got) else "nothing"
    return _result(case, False, f"answer token {wrong + 1} of {len(case.question.answer)} is {found}, not {want}")


def _result(case: LabelCase, right: bool, detail: str) -> Result:
    return Result(case.id, case.task, case.tokens, case.beyond_trained, right, False, detail)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
