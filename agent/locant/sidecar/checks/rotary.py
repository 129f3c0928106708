"""Rotary and ALiBi values as they were used in a pass (F5, F8)."""

from __future__ import annotations

from collections.abc import Iterator

from locant.observation import RotaryFacts
from locant.sidecar.checks.hit import Hit, Pass
from locant_slo.findings import FailureMode, Severity

_UNIT = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
"""Spacing of the dtype just below 1; float32 otherwise."""
_FLOAT32 = 2.0**-24
_LEAST_OUTPUT_ERROR = 1e-3
_LEAST_NORM_ERROR = 1e-2
_LEAST_SLOPE_ERROR = 1e-3
_LEAST_TIES = 0.01


def unit(dtype: str) -> float:
    """Spacing of numbers of `dtype` just below 1."""
    return _UNIT.get(dtype.removeprefix("torch."), _FLOAT32)


def output_tolerance(rotary: RotaryFacts) -> float:
    """What honest arithmetic may be off by: one more rounding of the output, and float32 angles of position radians."""
    angle = (rotary.largest_position or 0) * 4 * _FLOAT32
    return max(_LEAST_OUTPUT_ERROR, 2 * unit(rotary.dtype)) + angle


def rotary_output(seen: Pass) -> Iterator[Hit]:
    """cos and sin used in this pass against float64 at the same positions."""
    rotary = seen.facts.rotary
    if rotary is None or rotary.output_error is None:
        return
    limit = output_tolerance(rotary)
    if rotary.output_error <= limit:
        return
    if rotary.own_error is not None and rotary.own_error <= limit:
        yield _other_frequencies(rotary, limit)
        return
    yield Hit(
        "rotary_output",
        FailureMode.PRECISION,
        Severity.PAGE,
        f"Rotary values at positions up to {rotary.largest_position} are off by {rotary.output_error:.3g}; rounding "
        f"in {rotary.dtype} explains {limit:.2g}. Errors grow with the position, so long requests suffer first. "
        "Usual cause: angles computed in half precision, often under autocast. Compute inv_freq times position in "
        "float32.",
        {
            "output_error": rotary.output_error,
            "limit": limit,
            "dtype": rotary.dtype,
            "largest_position": rotary.largest_position,
        },
        all_rows=True,
    )


def _other_frequencies(rotary: RotaryFacts, limit: float) -> Hit:
    """The arithmetic is exact, for frequencies that are not the configured ones at these positions."""
    return Hit(
        "parameters_wrong",
        FailureMode.WRONG_PARAMETERS,
        Severity.PAGE,
        f"Rotary values at positions up to {rotary.largest_position} are off by {rotary.output_error:.3g} (rounding "
        f"explains {limit:.2g}), yet computed exactly from the frequencies that the module holds: it uses another set "
        "than the configuration names for these positions or this layer type. Usual cause: longrope's short factors "
        "beyond the original length, local and global layers exchanged, theta of another release. Compare inv_freq "
        "with the checkpoint's configuration.",
        {
            "output_error": rotary.output_error,
            "own_error": rotary.own_error,
            "limit": limit,
            "largest_position": rotary.largest_position,
        },
        all_rows=True,
    )


def buckets_wrong(seen: Pass) -> Iterator[Hit]:
    """Relative distance buckets beside T5's rule for the model's settings."""
    rotary = seen.facts.rotary
    if rotary is None or not rotary.wrong_buckets:
        return
    yield Hit(
        "buckets_wrong",
        FailureMode.WRONG_PARAMETERS,
        Severity.PAGE,
        f"{rotary.wrong_buckets} pairs of sampled query and key fall into another distance bucket than the rule gives "
        f"for their distance ({seen.facts.phase}, {seen.facts.queries} queries). Healthy is exactly 0. Usual cause: "
        "the bidirectional switch of encoder and decoder exchanged, or relative_attention_max_distance not passed on. "
        "Compare the bucket function with the checkpoint's configuration.",
        {"wrong_buckets": rotary.wrong_buckets, "phase": seen.facts.phase},
        all_rows=True,
    )


def rotary_collisions(seen: Pass) -> Iterator[Hit]:
    """Neighbouring positions that the rotary values cannot tell apart."""
    rotary = seen.facts.rotary
    if rotary is None or rotary.tie_ratio is None or seen.profile.scheme == "alibi" or rotary.tie_ratio <= _LEAST_TIES:
        return
    yield _ties(
        rotary,
        "rotary_collisions",
        f"{rotary.tie_ratio:.0%} of neighbouring positions have the same rotary values up to position "
        f"{rotary.largest_position}: the model cannot tell those tokens' order. Usual cause: an uninitialised or "
        "zero inv_freq, or angles in half precision.",
        Severity.PAGE,
    )


def alibi_ties(seen: Pass) -> Iterator[Hit]:
    """Neighbouring keys with one ALiBi bias in the steepest head."""
    rotary = seen.facts.rotary
    if rotary is None or rotary.tie_ratio is None or seen.profile.scheme != "alibi" or rotary.tie_ratio <= _LEAST_TIES:
        return
    yield _ties(
        rotary,
        "alibi_ties",
        f"{rotary.tie_ratio:.0%} of neighbouring keys get the same ALiBi bias ({rotary.dtype}): the nearest keys, "
        "which matter most, cannot be told apart. Usual cause: slope times key index held in half precision, exact "
        "only up to 256 keys in bfloat16. Build the bias in float32.",
        Severity.TICKET,
    )


def _ties(rotary: RotaryFacts, check: str, message: str, severity: Severity) -> Hit:
    evidence = {"tie_ratio": rotary.tie_ratio, "dtype": rotary.dtype, "largest_position": rotary.largest_position}
    return Hit(check, FailureMode.PRECISION, severity, message, evidence, all_rows=True)


def attention_factor(seen: Pass) -> Iterator[Hit]:
    """sqrt(cos² + sin²) against the factor that the configuration implies."""
    rotary = seen.facts.rotary
    if rotary is None or rotary.norm_error is None or rotary.norm_error <= _LEAST_NORM_ERROR + 2 * unit(rotary.dtype):
        return
    yield Hit(
        "attention_factor",
        FailureMode.WRONG_PARAMETERS,
        Severity.PAGE,
        f"The rotary values are scaled {rotary.norm_error:.1%} away from the configured attention factor (1 for "
        "plain RoPE). Usual cause: a YaRN or longrope factor that is applied twice or not at all. Compare "
        "attention_factor with the checkpoint's configuration.",
        {"norm_error": rotary.norm_error, "dtype": rotary.dtype},
        all_rows=True,
    )


def slopes(seen: Pass) -> Iterator[Hit]:
    """ALiBi slopes measured on the bias against the published rule for the model's heads."""
    rotary = seen.facts.rotary
    if (
        rotary is None
        or rotary.slope_error is None
        or rotary.slope_error <= _LEAST_SLOPE_ERROR + 2 * unit(rotary.dtype)
    ):
        return
    yield Hit(
        "slopes",
        FailureMode.WRONG_PARAMETERS,
        Severity.PAGE,
        f"ALiBi slopes are up to {rotary.slope_error:.1%} off the published rule for {seen.profile.heads} heads. "
        "Usual cause: one geometric series for a head count that is no power of two. If the checkpoint was trained "
        "that way, pin its slopes in the manifest.",
        {"slope_error": rotary.slope_error, "heads": seen.profile.heads, "dtype": rotary.dtype},
        all_rows=True,
    )
