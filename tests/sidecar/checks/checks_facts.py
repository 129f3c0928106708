"""Facts by hand: a healthy row, pass and model, with whatever a test changes."""

from __future__ import annotations

from checks_scenarios import profile

from locant.observation import ABSENT, ForwardFacts, ModelAttached, ModelProfile, RowFacts
from locant.sidecar.judge import Judge, Verdict

ROPE = profile("rope")
LEARNED = profile("learned")
ENCODER = profile("learned", causal=False)

__all__ = ["ENCODER", "LEARNED", "ROPE", "alerts", "checks", "facts", "judge_of", "profile", "row"]


def row(real: int = 4, before: int = 0, start: int | None = None, **changes: int) -> RowFacts:
    """A healthy row of `real` tokens behind `before` cached ones; positions run on unless `start` says otherwise."""
    first = before if start is None else start
    values = dict.fromkeys(RowFacts._fields, ABSENT) | {
        "real": real,
        "left_pads": 0,
        "right_pads": 0,
        "mask_holes": 0,
        "unmasked_left_pads": 0,
        "unmasked_right_pads": 0,
        "real_before": before,
        "cache_tokens": before,
        "first_position": first,
        "last_position": first + real - 1,
        "min_position": first,
        "max_position": first + real - 1,
        "first_offset": first - before,
        "last_offset": first - before,
        "jumps": 0,
        "resets": 0,
        "repeats": 0,
    }
    return RowFacts(**(values | changes))


def facts(*rows: RowFacts, number: int = 1, **changes: object) -> ForwardFacts:
    """A pass of those rows on cache 7."""
    queries = max((r.real + max(r.left_pads, 0) + max(r.right_pads, 0) for r in rows), default=0)
    values: dict[str, object] = {
        "model_id": 1,
        "time": float(number),
        "pass_number": number,
        "phase": "decode" if queries == 1 else "prefill",
        "duration_seconds": 0.01,
        "queries": queries,
        "rows": rows,
        "cache_id": 7,
        "seen": ("positions", "mask", "cache"),
    }
    return ForwardFacts(**(values | changes))  # type: ignore[arg-type]


def judge_of(model: ModelProfile = ROPE, **options: object) -> Judge:
    """A judge that knows model 1."""
    judge = Judge(**options)  # type: ignore[arg-type]
    judge.judge(ModelAttached(1, 0.0, "model", "1", model))
    return judge


def checks(verdict: Verdict) -> set[str]:
    """Names of everything found."""
    return {finding.check for finding in verdict.findings}


def alerts(verdict: Verdict) -> set[str]:
    """Names of what pages or opens a ticket."""
    return {finding.check for finding in verdict.findings if finding.severity.value != "info"}
