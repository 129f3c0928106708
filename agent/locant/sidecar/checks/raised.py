"""Passes that ended in an exception, and streams that broke off."""

from __future__ import annotations

from collections.abc import Iterator

from locant.observation import StreamFacts
from locant.sidecar.checks.hit import Hit, Pass
from locant_slo.findings import FailureMode, Severity


def model_raised(seen: Pass) -> Iterator[Hit]:
    """The model raised: what a request hit, for the record. Positional causes have checks of their own."""
    facts = seen.facts
    if facts.error:
        yield Hit(
            "model_raised",
            FailureMode.STREAMING_STATE if facts.phase == "decode" else FailureMode.CRAFTED_INPUT,
            Severity.INFO,
            f"The model raised {facts.error} in a {facts.phase} pass of {len(facts.rows)} rows and {facts.queries} "
            "tokens. If no other finding names a positional cause, look at the caller's traceback.",
            {"error": facts.error, "phase": facts.phase, "planned_position": facts.highest_planned_position},
        )


def stream_broken(facts: StreamFacts) -> Iterator[Hit]:
    """A stream ended in an error after some chunks were delivered."""
    if facts.errors > 0:
        yield Hit(
            "stream_broken",
            FailureMode.STREAMING_STATE,
            Severity.INFO,
            f"A stream ended with {facts.error or 'an error'} after {facts.chunks} chunks. Look for a finding of "
            "the same time, else at the caller's log.",
            {"error": facts.error, "chunks": facts.chunks, "errors": facts.errors},
        )
