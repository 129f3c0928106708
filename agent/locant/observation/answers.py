"""What a model answered: to streams, to canary cases, and when asked a second time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream that went through `watch.stream`: chunks delivered and how it ended."""

    model_id: int
    time: float
    chunks: int
    errors: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class CanaryFacts:
    """One canary case answered. `twin_right` is the same task inside the trained length (for cases beyond it)."""

    model_id: int
    time: float
    case: str  # stable id of the case: what pairs it with the other release
    task: str
    length_bucket: str
    beyond_trained: bool
    right: bool
    twin_right: bool | None = None
    loss_nats: tuple[tuple[str, float, int], ...] = ()  # (position bucket, sum of loss, tokens)
    last_of_run: bool = False


@dataclass(frozen=True, slots=True)
class ReplayFacts:
    """One sampled request computed a second time, beside what it was answered with. No token leaves the process.

    `kind` is alone (uncached and unbatched, beside the live answer), shifted (every position `shift` further) or
    neighbour (padded beside a longer row), both beside alone. `differences`: per compared token KL(first || second)
    in nats for logits, the norm of the difference over the norm for hidden states; the first one comes from a pass
    without a cache, the others from later passes of the live request. `batch`, `padded`: the live pass.
    """

    model_id: int
    time: float
    kind: str
    dtype: str  # what the pass computed in: tfloat32 where the device rounds float32 products
    quantity: str  # logits, hidden
    differences: tuple[float, ...]
    largest_difference: float = 0.0  # max |delta| over logits or hidden values
    flipped: int = 0  # compared tokens whose most likely successor changed
    tokens: int = 0  # length of the replayed request
    batch: int = 1
    padded: bool = False
    shift: int = 0
