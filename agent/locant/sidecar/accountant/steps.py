"""A decode step that goes on exactly counts what the step before it counted; its time and its memory are its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from locant.observation import ForwardFacts
from locant.sidecar.accountant.cost import Shape, latency, memory, shape_of
from locant.sidecar.accountant.integrity import Step, Verdict, decoded_chunks, integrity
from locant.sidecar.accountant.subject import Subject
from locant.sidecar.accountant.traffic import traffic
from locant.sidecar.store import Batch, Update

_LONGEST = 64
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class _Template:
    """What one step of a stride counted, and up to which step the others count the same."""

    step: Step
    until: int
    subject: Subject
    counts: Batch
    shape: Shape


class StepBook:
    """Templates by cache. Lengths only grow along a stride: rows that fall into the same buckets some steps ahead do
    so in between."""

    def __init__(self) -> None:
        self._templates: OrderedDict[tuple[int, int], _Template] = OrderedDict()

    def take(self, facts: ForwardFacts, verdict: Verdict, step: Step, subject: Subject) -> Iterator[Update | Batch]:
        """One step of a stride."""
        key = (facts.model_id, facts.cache_id)
        template = self._templates.get(key)
        if template is None or not _holds(template, step, subject):
            template = self._templates[key] = _template(facts, verdict, step, subject)
            if len(self._templates) > _REMEMBERED:
                self._templates.popitem(last=False)
        yield template.counts
        shape = template.shape.wider(step.number - template.step.number)
        yield from latency(facts, shape, subject)
        yield from memory(facts, shape, subject)


def _holds(template: _Template, step: Step, subject: Subject) -> bool:
    return template.step.stride == step.stride and step.number <= template.until and template.subject is subject


def _template(facts: ForwardFacts, verdict: Verdict, step: Step, subject: Subject) -> _Template:
    parts = (traffic(facts, subject), integrity(facts, verdict, subject), decoded_chunks(facts, verdict, subject))
    shape, later = shape_of(facts, subject), shape_of(facts, subject, _LONGEST)
    until = step.number + (_LONGEST if shape.lengths == later.lengths else 0)
    return _Template(step, until, subject, Batch(tuple(update for part in parts for update in part)), shape)
