"""The checks: small pure functions from facts, profile and ledger to hits. Each has a page in docs/checks."""

from __future__ import annotations

from locant.observation import ABSENT, ForwardFacts, RowField
from locant.sidecar.checks import (
    attention,
    base,
    crafted,
    cross,
    frozen,
    geometry,
    keys,
    length,
    mixing,
    offsets,
    packing,
    padding,
    parameters,
    raised,
    rotary,
    segments,
    tables,
)
from locant.sidecar.checks.hit import Check, Hit, Pass
from locant_slo.findings import FailureMode, Severity

PLAIN_CHECKS: tuple[Check, ...] = (
    length.table_overflow,
    length.beyond_trained_length,
    crafted.crafted_positions,
    offsets.offset_changed,
    offsets.cache_not_reset,
    mixing.rows_mixed_up,
    base.absolute_base,
    padding.pads_unmasked,
    padding.mask_dropped,
    cross.encoder_pads_open,
    tables.table_regrown,
    raised.model_raised,
)
"""What every pass is held against; a decode step that sampled nothing, against nothing else."""
_SEVERAL_TOKENS: tuple[Check, ...] = (
    frozen.positions_frozen,
    frozen.attention_across_rows,
    frozen.positions_rounded,
    packing.packed_not_reset,
    padding.mask_inverted,
    padding.mask_holes,
    segments.segments_missing,
    segments.segments_astray,
)
_ROTARY: tuple[Check, ...] = (
    rotary.rotary_output,
    rotary.rotary_collisions,
    rotary.alibi_ties,
    rotary.attention_factor,
    rotary.slopes,
    rotary.buckets_wrong,
    parameters.parameters_switched_with_cache,
)
_KEYS: tuple[Check, ...] = (keys.keys_out_of_step,)
_VISIBILITY: tuple[Check, ...] = (
    packing.packed_not_isolated,
    attention.pads_visible,
    geometry.window_excess,
    geometry.window_deficit,
    geometry.future_visible,
    geometry.future_hidden,
    geometry.self_blind,
)
PASS_CHECKS: tuple[Check, ...] = PLAIN_CHECKS + _SEVERAL_TOKENS + _ROTARY + _KEYS + _VISIBILITY
"""What every forward pass is held against."""


def checks_for(facts: ForwardFacts) -> tuple[Check, ...]:
    """The checks that the facts of a pass can say anything to; most passes are one token without samples."""
    chosen = PLAIN_CHECKS
    if facts.queries > 1:
        chosen += _SEVERAL_TOKENS
    if facts.rotary is not None:
        chosen += _ROTARY
    if facts.keys is not None:
        chosen += _KEYS
    if any(row[_FIRST_VISIBLE:] != _UNSEEN for row in facts.rows):
        chosen += _VISIBILITY
    return chosen


_FIRST_VISIBLE = RowField.WINDOW_EXCESS
_UNSEEN = (ABSENT,) * (len(RowField) - _FIRST_VISIBLE)

_F, _S = FailureMode, Severity
KNOWN_CHECKS: tuple[tuple[FailureMode, Severity, str], ...] = (
    (_F.LENGTH_OVERFLOW, _S.PAGE, "table_overflow"),
    (_F.LENGTH_OVERFLOW, _S.TICKET, "beyond_trained_length"),
    (_F.LENGTH_OVERFLOW, _S.INFO, "beyond_trained_length"),
    (_F.CRAFTED_INPUT, _S.PAGE, "crafted_positions"),
    (_F.STREAMING_STATE, _S.PAGE, "offset_changed"),
    (_F.STREAMING_STATE, _S.PAGE, "cache_not_reset"),
    (_F.STREAMING_STATE, _S.PAGE, "keys_out_of_step"),
    (_F.BATCH_MIXUP, _S.PAGE, "rows_mixed_up"),
    (_F.BATCH_MIXUP, _S.PAGE, "absolute_base"),
    (_F.BATCH_MIXUP, _S.PAGE, "positions_frozen"),
    (_F.BATCH_MIXUP, _S.PAGE, "attention_across_rows"),
    (_F.PRECISION, _S.PAGE, "positions_rounded"),
    (_F.BATCH_MIXUP, _S.PAGE, "packed_not_reset"),
    (_F.BATCH_MIXUP, _S.INFO, "packed_not_reset"),
    (_F.BATCH_MIXUP, _S.PAGE, "packed_not_isolated"),
    (_F.BATCH_MIXUP, _S.INFO, "packed_not_isolated"),
    (_F.PADDING_LEAKAGE, _S.PAGE, "pads_unmasked"),
    (_F.PADDING_LEAKAGE, _S.PAGE, "pads_attended"),
    (_F.PADDING_LEAKAGE, _S.PAGE, "mask_dropped"),
    (_F.PADDING_LEAKAGE, _S.PAGE, "encoder_pads_open"),
    (_F.PADDING_LEAKAGE, _S.PAGE, "mask_inverted"),
    (_F.PADDING_LEAKAGE, _S.INFO, "mask_holes"),
    (_F.SEGMENT_MIXUP, _S.TICKET, "segments_missing"),
    (_F.SEGMENT_MIXUP, _S.TICKET, "segments_astray"),
    (_F.ATTENTION_GEOMETRY, _S.PAGE, "window_excess"),
    (_F.ATTENTION_GEOMETRY, _S.PAGE, "window_deficit"),
    (_F.ATTENTION_GEOMETRY, _S.PAGE, "future_visible"),
    (_F.ATTENTION_GEOMETRY, _S.PAGE, "future_hidden"),
    (_F.ATTENTION_GEOMETRY, _S.PAGE, "self_blind"),
    (_F.PRECISION, _S.PAGE, "rotary_output"),
    (_F.PRECISION, _S.PAGE, "rotary_collisions"),
    (_F.PRECISION, _S.TICKET, "alibi_ties"),
    (_F.PRECISION, _S.PAGE, "parameter_cast"),
    (_F.WRONG_PARAMETERS, _S.PAGE, "parameters_wrong"),
    (_F.WRONG_PARAMETERS, _S.INFO, "parameters_wrong"),
    (_F.WRONG_PARAMETERS, _S.PAGE, "parameters_uninitialised"),
    (_F.WRONG_PARAMETERS, _S.PAGE, "attention_factor"),
    (_F.WRONG_PARAMETERS, _S.PAGE, "slopes"),
    (_F.WRONG_PARAMETERS, _S.PAGE, "buckets_wrong"),
    (_F.WRONG_PARAMETERS, _S.TICKET, "release_changed"),
    (_F.WRONG_PARAMETERS, _S.INFO, "release_changed"),
    (_F.STREAMING_STATE, _S.PAGE, "parameters_switched_with_cache"),
    (_F.RESOURCE_REGRESSION, _S.TICKET, "table_regrown"),
    (_F.RESOURCE_REGRESSION, _S.TICKET, "positional_memory_grows"),
    (_F.RESOURCE_REGRESSION, _S.TICKET, "cache_grows_faster"),
    (_F.RESOURCE_REGRESSION, _S.TICKET, "passes_slower"),
    (_F.STREAMING_STATE, _S.INFO, "model_raised"),
    (_F.CRAFTED_INPUT, _S.INFO, "model_raised"),
    (_F.STREAMING_STATE, _S.INFO, "stream_broken"),
    (_F.BATCH_MIXUP, _S.PAGE, "replay_differs"),
    (_F.BATCH_MIXUP, _S.TICKET, "replay_differs"),
    (_F.STREAMING_STATE, _S.PAGE, "replay_differs"),
    (_F.STREAMING_STATE, _S.TICKET, "replay_differs"),
    (_F.WRONG_PARAMETERS, _S.PAGE, "replay_differs"),
    (_F.WRONG_PARAMETERS, _S.TICKET, "replay_differs"),
)
"""Every verdict that can be given, so that its counter exists at zero before the first."""

CHECKS: tuple[str, ...] = tuple(dict.fromkeys(check for _, _, check in KNOWN_CHECKS))
"""The closed set of check names."""

__all__ = ["CHECKS", "KNOWN_CHECKS", "PASS_CHECKS", "PLAIN_CHECKS", "Check", "Hit", "Pass", "checks_for"]
