"""One forward pass: its rows, and what its rotations and cached keys say."""

from __future__ import annotations

from dataclasses import dataclass

from locant.observation.rows import RowFacts


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
    """One forward pass of a watched model. Numbers follow one another as passes end; a gap is passes that were dropped.

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
        False  # the attention kernel was told where requests begin (cu_seq_lens, block tables, a paged cache)
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
    whole: bool = False  # every layer's attention was looked at, as the agent asked
    across: bool = False  # attention runs down the columns of the batch, positions along its rows
