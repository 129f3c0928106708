"""A request answered differently when it is computed a second time (F2, F4, F8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from locant.canary.noise import HIDDEN_LIMITS, KL_LIMITS_NATS
from locant.observation import ReplayFacts
from locant.sidecar.checks.hit import Hit
from locant_slo.findings import FailureMode, Severity

_LIKE: Mapping[str, str] = {"tfloat32": "float16"}
"""TF32 products keep ten bits of the mantissa, as float16 does."""
_PAGE_NATS = 1e-2
_FEW_TOKENS = 9
"""The limits are means over many tokens. A mean over n has a longer tail: n tokens are allowed 1 + 9/n times as much,
ten times for one token."""


def replay_differs(facts: ReplayFacts, before: Sequence[float] = ()) -> Iterator[Hit]:
    """Two computations of one request further apart than rounding explains: by themselves, or with those `before`.

    `before`: differences of the last replays of this kind. Together they are more tokens and the limit is tighter.
    """
    if not facts.differences:
        return
    mean, limit = _mean(facts.differences), limit_of(facts)
    if mean <= limit:
        ceiling, together = 10 * base_limit(facts), limit_of(facts, len(before))
        pooled = _mean([min(value, ceiling) for value in (*before, *facts.differences)])
        if mean <= base_limit(facts) or len(before) + len(facts.differences) < _FEW_TOKENS or pooled <= together:
            return
        limit = together
    mode, cause = _diagnosis(facts, limit)
    pair, compared = _WHAT.get(facts.kind, _WHAT["alone"])(facts), len(facts.differences)
    yield Hit(
        "replay_differs",
        mode,
        _severity(facts, mean),
        f"{pair} differs by {_size(facts, mean)} over {compared} compared tokens, in a "
        f"request of {facts.tokens} tokens; rounding in {facts.dtype} explains {limit:.2g}. Another most likely token: "
        f"{facts.flipped} of {compared}. {cause}",
        {
            "kind": facts.kind,
            "quantity": facts.quantity,
            "mean_difference": mean,
            "limit": limit,
            "largest_difference": facts.largest_difference,
            "flipped": facts.flipped,
            "compared": len(facts.differences),
            "tokens": facts.tokens,
            "batch": facts.batch,
            "dtype": facts.dtype,
            "shift": facts.shift,
        },
    )


def base_limit(facts: ReplayFacts) -> float:
    """The largest mean difference over many tokens that is rounding; the widest one for a dtype without an entry."""
    limits = KL_LIMITS_NATS if facts.quantity == "logits" else HIDDEN_LIMITS
    return limits.get(_LIKE.get(facts.dtype, facts.dtype), max(limits.values()))


def limit_of(facts: ReplayFacts, more: int = 0) -> float:
    """The same for the mean over as few tokens as these and `more`."""
    return base_limit(facts) * (1 + _FEW_TOKENS / (len(facts.differences) + more))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _severity(facts: ReplayFacts, mean: float) -> Severity:
    """Only what no arithmetic explains wakes a person: float32, far off, another answer given."""
    sure = facts.dtype == "float32" and facts.quantity == "logits" and mean > _PAGE_NATS and facts.flipped > 0
    return Severity.PAGE if sure else Severity.TICKET


def _size(facts: ReplayFacts, mean: float) -> str:
    return f"{mean:.3g} nats" if facts.quantity == "logits" else f"{mean:.2%} of its norm"


_WHAT: Mapping[str, Callable[[ReplayFacts], str]] = {
    "alone": lambda facts: (
        f"What a row of a batch of {facts.batch} was answered with and its replay alone, without a cache,"
        if facts.batch > 1
        else "What a request was answered with and its replay without a cache"
    ),
    "shifted": lambda facts: f"A request replayed {facts.shift} positions further, which means the same to this model,",
    "neighbour": lambda facts: "A request replayed in a padded batch beside a longer one",
}


def _diagnosis(facts: ReplayFacts, limit: float) -> tuple[FailureMode, str]:
    """The mode by what the two computations do not share, and where to look first."""
    if facts.kind == "shifted":
        return FailureMode.WRONG_PARAMETERS, (
            "Usual cause: rotary angles in half precision, a table that ends, or a layer that counts on absolute "
            "positions. Compute angles in float32 and compare the rotary code with the checkpoint's."
        )
    if facts.kind == "neighbour":
        return FailureMode.BATCH_MIXUP, (
            "Usual cause: the mask does not reach every attention layer, or the pooling takes a padded position. "
            "Run one request alone and padded, layer by layer."
        )
    if facts.differences[0] <= limit and len(facts.differences) > 1:
        return FailureMode.STREAMING_STATE, (
            "The first answer agrees, later ones do not: the cache holds something else than the request. Usual "
            "cause: cache rows not reordered with the batch, or a cached path that rotates keys otherwise. Compare one "
            "cached step with a full pass."
        )
    if facts.batch > 1:
        return FailureMode.BATCH_MIXUP, (
            "The neighbours in the batch change the answer. Usual cause: a mask that is lost on the way, a pooling "
            f"that takes a padded position{' (this batch was padded)' if facts.padded else ''}, or positions that are "
            "not reset per row. Send the same request alone and in a batch."
        )
    return FailureMode.WRONG_PARAMETERS, (
        "Usual cause: a code path that only live traffic takes (a fused kernel, a compiled graph, an adapter) "
        "computes positions otherwise. Compare it with the plain forward."
    )
