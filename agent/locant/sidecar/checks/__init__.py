"""The checks: small pure functions from facts, profile and ledger to hits. Each has a page in docs/checks."""

from __future__ import annotations

from locant.sidecar.checks import (
    attention,
    base,
    crafted,
    frozen,
    geometry,
    length,
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

PASS_CHECKS: tuple[Check, ...] = (
    length.table_overflow,
    length.beyond_trained_length,
    crafted.crafted_positions,
    offsets.offset_changed,
    offsets.cache_not_reset,
    offsets.rows_mixed_up,
    base.absolute_base,
    frozen.positions_frozen,
    frozen.positions_rounded,
    packing.packed_not_reset,
    packing.packed_not_isolated,
    padding.pads_unmasked,
    padding.mask_dropped,
    padding.mask_inverted,
    padding.mask_holes,
    attention.pads_visible,
    segments.segments_missing,
    geometry.window_excess,
    geometry.window_deficit,
    geometry.future_visible,
    geometry.self_blind,
    rotary.rotary_output,
    rotary.rotary_collisions,
    rotary.alibi_ties,
    rotary.attention_factor,
    rotary.slopes,
    parameters.parameters_switched_with_cache,
    tables.table_regrown,
    raised.model_raised,
)
"""What every forward pass is held against, in this order."""

_F, _S = FailureMode, Severity
KNOWN_CHECKS: tuple[tuple[FailureMode, Severity, str], ...] = (
    (_F.LENGTH_OVERFLOW, _S.PAGE, "table_overflow"),
    (_F.LENGTH_OVERFLOW, _S.TICKET, "beyond_trained_length"),
    (_F.LENGTH_OVERFLOW, _S.INFO, "beyond_trained_length"),
    (_F.CRAFTED_INPUT, _S.PAGE, "crafted_positions"),
    (_F.STREAMING_STATE, _S.PAGE, "offset_changed"),
    (_F.STREAMING_STATE, _S.PAGE, "cache_not_reset"),
    (_F.BATCH_MIXUP, _S.PAGE, "rows_mixed_up"),
    (_F.BATCH_MIXUP, _S.PAGE, "absolute_base"),
    (_F.BATCH_MIXUP, _S.PAGE, "positions_frozen"),
    (_F.PRECISION, _S.PAGE, "positions_rounded"),
    (_F.BATCH_MIXUP, _S.PAGE, "packed_not_reset"),
    (_F.BATCH_MIXUP, _S.INFO, "packed_not_reset"),
    (_F.BATCH_MIXUP, _S.PAGE, "packed_not_isolated"),
    (_F.BATCH_MIXUP, _S.INFO, "packed_not_isolated"),
    (_F.PADDING_LEAKAGE, _S.PAGE, "pads_unmasked"),
    (_F.PADDING_LEAKAGE, _S.PAGE, "pads_attended"),
    (_F.PADDING_LEAKAGE, _S.PAGE, "mask_dropped"),
    (_F.PADDING_LEAKAGE, _S.PAGE, "mask_inverted"),
    (_F.PADDING_LEAKAGE, _S.INFO, "mask_holes"),
    (_F.SEGMENT_MIXUP, _S.TICKET, "segments_missing"),
    (_F.ATTENTION_GEOMETRY, _S.PAGE, "window_excess"),
    (_F.ATTENTION_GEOMETRY, _S.PAGE, "window_deficit"),
    (_F.ATTENTION_GEOMETRY, _S.PAGE, "future_visible"),
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
    (_F.STREAMING_STATE, _S.PAGE, "parameters_switched_with_cache"),
    (_F.RESOURCE_REGRESSION, _S.TICKET, "table_regrown"),
    (_F.STREAMING_STATE, _S.INFO, "model_raised"),
    (_F.CRAFTED_INPUT, _S.INFO, "model_raised"),
    (_F.STREAMING_STATE, _S.INFO, "stream_broken"),
)
"""Every verdict that can be given, so that its counter exists at zero before the first."""

CHECKS: tuple[str, ...] = tuple(dict.fromkeys(check for _, _, check in KNOWN_CHECKS))
"""The closed set of check names."""

__all__ = ["CHECKS", "KNOWN_CHECKS", "PASS_CHECKS", "Check", "Hit", "Pass"]
