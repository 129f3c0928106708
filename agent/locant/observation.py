"""What the probe tells the agent: facts, never verdicts.

Plain frozen values without torch, so that they cross a queue or a socket alike. Positions are 0-based. Every number is
already on the host. `model_id` ties an observation to the `ModelAttached` that introduced the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class RowField(IntEnum):
    """Columns of the integer tensor that one forward pass reduces to on the device, one row per sequence.

    "Real" tokens are those that the caller's 2-D mask keeps; without such a mask, those outside the runs of the pad id
    at the row's ends. `offset` of a token is its effective position minus the number of real tokens before it in the
    sequence, cached ones included. Of several position axes (M-RoPE) the first counts for offsets and steps, all of
    them for MIN and MAX. `ABSENT` stands where there is nothing to say.
    """

    REAL = 0  # real tokens in this call
    LEFT_PADS = 1  # masked (or pad id) tokens before the first real one, in this call
    RIGHT_PADS = 2  # ... after the last real one
    MASK_HOLES = 3  # masked tokens between real ones, in this call
    UNMASKED_LEFT_PADS = 4  # run of the pad id at the start that no mask covers
    UNMASKED_RIGHT_PADS = 5  # ... at the end
    REAL_BEFORE = 6  # real tokens of this sequence that the cache holds before this call
    CACHE_TOKENS = 7  # tokens of this sequence that the cache counts before this call, padding included
    FIRST_POSITION = 8  # effective position of the first real token
    LAST_POSITION = 9
    MIN_POSITION = 10  # over real tokens, all position axes
    MAX_POSITION = 11
    FIRST_OFFSET = 12  # offset of the first real token
    LAST_OFFSET = 13
    JUMPS = 14  # real tokens side by side whose position differs by something else than +1 (repeats too) and no reset
    RESETS = 15  # real tokens side by side where the position falls back to the first token's or to the family's base
    REPEATS = 16  # real tokens side by side with the same position
    SEGMENTS_SEEN = 17  # distinct token type ids among real tokens; ABSENT when the model has none
    SEPARATORS = 18  # separator tokens among real tokens; ABSENT when the separator is not known
    BOUNDARY_MISSES = 19  # declared segment starts whose position is not the row's first position
    FIRST_TOKEN_HASH = 20  # order-sensitive 31-bit hash of this call's real tokens: equality only, not reversible
    WINDOW_EXCESS = (
        21  # sampled queries: keys seen beyond the configured window (largest over layers); ABSENT unless sampled
    )
    WINDOW_DEFICIT = (
        22  # ... keys inside the window, real and not later, that no one sees; ABSENT unless full-length rows
    )
    FUTURE_VISIBLE = 23  # ... later keys that a causal layer lets through
    SELF_BLIND = 24  # ... queries that cannot see themselves
    PADS_VISIBLE = 25  # ... pad keys that a real query may attend to
    CROSS_VISIBLE = 26  # ... keys of another request (before a reset or a declared boundary) that a query may attend to
    FUTURE_HIDDEN = 27  # ... later keys that every query is kept from, in a layer that looks both ways


ABSENT = -(2**31)
"""Stands in a row where a fact could not be observed. Never a healthy value, never an alarm."""


class RowFacts(NamedTuple):
    """One sequence in one forward pass, fields as in `RowField`."""

    real: int
    left_pads: int
    right_pads: int
    mask_holes: int
    unmasked_left_pads: int
    unmasked_right_pads: int
    real_before: int
    cache_tokens: int
    first_position: int
    last_position: int
    min_position: int
    max_position: int
    first_offset: int
    last_offset: int
    jumps: int
    resets: int
    repeats: int
    segments_seen: int
    separators: int
    boundary_misses: int
    first_token_hash: int
    window_excess: int
    window_deficit: int
    future_visible: int
    self_blind: int
    pads_visible: int
    cross_visible: int
    future_hidden: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The positions that one part of a model has: rows of its table, base included, and the index of its first."""

    scheme: str
    base: int
    table_rows: int


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """What is known for certain about a model's positions. None where the model does not say."""

    family: str  # the transformers model_type, or the class name of a plain module
    scheme: str  # learned, sinusoidal, rope, mrope, alibi, relative_bias, patches_2d, none, unknown
    kind: str  # decoder, encoder, encoder_decoder
    absolute: bool  # a constant shift of all positions changes the output
    base: int  # effective position of the first real token in an absolute family
    trained_tokens: int | None  # the length the model was trained for (after scaling)
    table_rows: int | None  # rows of the table that positions index, base included, empty ones at its end left out
    pad_id: int | None
    separator_id: int | None
    token_types: int  # 0 when the model has no token types
    window: int | None  # sliding window where every layer has the same, else None
    causal: bool
    layers: int
    heads: int
    head_size: int | None
    cache_bytes_per_token: int | None  # expected KV bytes per token and sequence, all layers
    config_hash: str
    parameters: int  # number of weights
    encoder: Limits | None = None  # of an encoder-decoder's encoder; everything above is its decoder's


RELEASE_HARM, RELEASE_NOTE = "release_harm", "release_note"
"""`Deviation.what` of a difference from the pinned manifest: one that changes what positions mean, and any other."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """A positional parameter of the model beside what its configuration says it must be (float64).

    `what` is inv_freq, rotary_size, attention_factor, slopes, table, rotary_output, dtype, or one of the two words
    above; `relative_error` is the largest one.
    """

    module: str
    what: str
    relative_error: float
    expected: str
    found: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ModelAttached:
    """A model came under watch; sent again when its positional parameters change."""

    model_id: int
    time: float
    model: str
    model_version: str
    profile: ModelProfile
    deviations: tuple[Deviation, ...] = ()


@dataclass(frozen=True, slots=True)
class RotaryFacts:
    """The rotary (or ALiBi, or relative) values actually used in a pass, beside float64 at the observed positions.

    `output_error` is max|cos - cos64| over sampled positions less half a unit in the last place of the output's dtype
    and less what a float32 angle legally loses (1.8e-7 of itself);
    `norm_error` is |sqrt(cos^2+sin^2) / expected factor - 1|; `tie_ratio` the share of neighbouring distinct positions
    that cannot be told apart (for ALiBi: neighbouring keys with one bias in the steepest head); `slope_error` the
    largest relative deviation of a measured ALiBi slope. `own_error` is the output error beside the module's own
    frequencies: small where the arithmetic is right and the parameters are not. `wrong_buckets`: sampled pairs of query
    and key whose T5 bucket is not the rule's. `parameters_hash` changes with inv_freq. None: nothing to say.
    """

    dtype: str
    output_error: float | None = None
    norm_error: float | None = None
    tie_ratio: float | None = None
    slope_error: float | None = None
    own_error: float | None = None
    wrong_buckets: int | None = None
    parameters_hash: int | None = None
    largest_position: int | None = None


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What the newest cached key of each row says of its place, read before a pass from its rotation; first rows only.

    `positions`: where the key stands now, `written`: where it was written. Both `ABSENT` where nothing can be told;
    a position `ABSENT` beside a known `written`: the key was turned since, by no whole number of positions. A pass
    whose keys all stand where they were written, and lead up to it, has none of this to say.
    """

    positions: tuple[int, ...]
    written: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ForwardFacts:
    """One forward pass of a watched model.

    `cache_id` names the cache object for as long as it lives (0: none); `cache_parent` the one it was copied from where
    that is known. `table_growths`: the positional buffers that grew in this pass, as (rows before, rows after).
    `highest_planned_position` is what the host knows before the call: cache length + query length - 1 + base.
    `positions`: on passes whose attention is looked at, effective positions of the first rows in `position_columns` of
    the call, `ABSENT` for padding.
    """

    model_id: int
    time: float
    pass_number: int
    phase: str  # prefill, decode, encode
    duration_seconds: float
    queries: int  # tokens per row in this call, padding included
    rows: tuple[RowFacts, ...]
    cache_id: int = 0
    cache_parent: int = 0
    masked: bool = False  # the caller gave a 2-D mask
    mask_rank: int = 0  # 0 none, 2, 4
    positions_given: bool = False
    highest_planned_position: int | None = None
    rotary: RotaryFacts | None = None
    table_growths: tuple[tuple[int, int], ...] = ()
    positional_bytes: int = 0
    cache_bytes: int = 0
    peak_device_bytes: int = 0
    error: str = ""  # class name of what the model raised
    declared: bool = False
    packed: bool = (
        False  # the caller told the attention kernel where requests begin (cu_seq_lens, block tables, a paged cache)
    )
    segments_astray: tuple[
        int, ...
    ] = ()  # per row: 1 where a pair's token types change elsewhere than at its separator
    encoder_pads_open: tuple[int, ...] = ()  # per row: padding of the encoder's that its decoder may attend to
    request_ids: tuple[str, ...] = ()  # hashed by the probe when the owner does not opt in
    seen: tuple[str, ...] = ()  # signals that could be seen, see the `signal` label
    trace_id: str = ""
    span_id: str = ""
    keys: KeyFacts | None = None
    position_columns: tuple[int, ...] = ()
    positions: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class AttentionFacts:
    """Statistics of sampled query rows of one layer in one pass: sums over rows, per head, so that they merge.

    Tuples have one entry per head. `heat` is row-major [bins, bins] mass summed over rows of one head (`heat_head`).
    """

    model_id: int
    time: float
    pass_number: int
    layer: int
    rows: int
    padded_rows: int  # rows whose sequence has padding keys: what padding mass is a statement about
    padding_mass: tuple[float, ...]
    padding_mass_largest: float  # the largest single-row, mean-over-heads padding mass
    entropy: tuple[float, ...]
    distance: tuple[float, ...]
    first_token_mass: tuple[float, ...]
    future_mass: tuple[float, ...]
    self_mass: tuple[float, ...]
    recency_mass: tuple[float, ...]
    largest_weight: tuple[float, ...]
    cross_mass: tuple[float, ...] = ()
    heads: tuple[int, ...] = ()  # which heads the tuples are of; empty: all, in order
    heat_head: int = -1
    heat_bins: int = 0
    heat: tuple[float, ...] = ()
    heat_rows: tuple[int, ...] = ()


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


@dataclass(frozen=True, slots=True)
class ProbeHealth:
    """What the probe says of itself, every few seconds and at close: cumulative drops, errors and times.

    `looks`: closer looks "taken", and those that were refused for the "budget" or the decode "step".
    """

    model_id: int
    time: float
    dropped: tuple[tuple[str, int], ...] = ()
    errors: tuple[tuple[str, int], ...] = ()
    capture_seconds: float = 0.0  # cumulative time spent in hooks and looks
    forward_seconds: float = 0.0  # cumulative time of the passes, without the former
    looks: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Detached:
    """The watch was closed."""

    model_id: int
    time: float


Observation = (
    ModelAttached | ForwardFacts | AttentionFacts | StreamFacts | CanaryFacts | ReplayFacts | ProbeHealth | Detached
)
