"""Verdicts on rows, as events: position integrity, anomalies and streamed chunks."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import NamedTuple, Protocol

from locant.observation import ABSENT, ForwardFacts, StreamFacts
from locant.sidecar.accountant.subject import Subject, exemplar_of, sli
from locant.sidecar.store import Update
from locant_slo.findings import Finding

_DECODE = "decode"


class Step(NamedTuple):
    """Which stride a decode step belongs to, and its number in it. All steps of a stride have the same rows, but for
    counts and positions that grow by one."""

    stride: int
    number: int


class Verdict(Protocol):
    """What the judge says of one observation; rows are indices into `ForwardFacts.rows`."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong."""

    @property
    def bad_rows(self) -> Set[int]:
        """Rows that a finding which pages or opens a ticket names."""

    @property
    def streaming_bad_rows(self) -> Set[int]:
        """Rows whose cache state or positions disagree with the request so far."""

    @property
    def anomalous_rows(self) -> Set[int]:
        """Rows with a position or length outside what the model allows."""

    @property
    def step(self) -> Step | None:
        """Set where the pass went on exactly and healthily with the decode loop that it belongs to."""


def integrity(facts: ForwardFacts, verdict: Verdict, subject: Subject) -> Iterator[Update]:
    """Sequences checked and those found wrong. A row that something was found in was checked."""
    checked = {i for i, row in enumerate(facts.rows) if row.real > 0 and row.first_position != ABSENT}
    for indicator, bad in (("position_integrity", verdict.bad_rows), ("position_anomaly", verdict.anomalous_rows)):
        yield from sli(subject, indicator, len(checked | bad), len(bad), exemplar_of(facts, len(bad)))


def decoded_chunks(facts: ForwardFacts, verdict: Verdict, subject: Subject) -> Iterator[Update]:
    """A decode step of a sequence is a streamed chunk; a step that raised fails for each of them."""
    if facts.phase != _DECODE:
        return
    chunks = {i for i, row in enumerate(facts.rows) if row.real > 0} | verdict.streaming_bad_rows
    if facts.error:
        failed = max(len(chunks), 1)
        yield from sli(subject, "streaming_chunks", failed, failed, exemplar_of(facts, failed))
        return
    bad = len(verdict.streaming_bad_rows)
    yield from sli(subject, "streaming_chunks", len(chunks), bad, exemplar_of(facts, bad))


def streamed_chunks(facts: StreamFacts, subject: Subject) -> Iterator[Update]:
    """Chunks that `watch.stream` delivered, and those that failed instead of being delivered."""
    yield from sli(subject, "streaming_chunks", facts.chunks + facts.errors, facts.errors)
