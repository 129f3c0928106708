"""Positional parameters against the configuration at attach, and their change under a live cache (F8, F5, F4)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from locant.observation import RELEASE_HARM, RELEASE_NOTE, Deviation
from locant.sidecar.checks.hit import Hit, Pass, first, rows_text
from locant_slo.findings import FailureMode, Severity

_FLOAT32_AGREES = 1e-4
"""Frequencies recomputed in float64 agree with healthy float32 ones to 1e-6; a cast to bfloat16 moves them by 4e-3."""
_GARBAGE = 1 - 1e-9
"""Uninitialised memory is denormal, zero, NaN or huge: nothing of the expected value is left."""


def deviations(found: Sequence[Deviation]) -> Iterator[Hit]:
    """What the audit of the attached model says."""
    for deviation in found:
        if deviation.what in (RELEASE_HARM, RELEASE_NOTE):
            yield _release_changed(deviation)
        elif not deviation.relative_error <= _FLOAT32_AGREES:
            yield _judge(deviation)


def _judge(deviation: Deviation) -> Hit:
    error = deviation.relative_error
    size = f"{error:.2%} off" if math.isfinite(error) else "not finite"
    where = f"{deviation.module} is {size}: found {deviation.found}, expected {deviation.expected}."
    evidence = {
        "module": deviation.module,
        "parameter": deviation.what,
        "relative_error": error,
        "expected": deviation.expected,
        "found": deviation.found,
        "detail": deviation.detail,
    }
    check, mode, cause = _diagnosis(deviation)
    spare_rows = (
        deviation.what in ("table", "zero_rows") and error < 0.5
    )  # rows nobody may ever use, such as those a longer table was padded with
    severity = Severity.INFO if spare_rows else Severity.PAGE
    return Hit(check, mode, severity, f"{where} {cause}", evidence, all_rows=True)


def _release_changed(deviation: Deviation) -> Hit:
    harmful = deviation.what == RELEASE_HARM
    advice = (
        "Positions no longer mean what the pinned release's weights learnt, unless these weights were trained with the "
        "change. Compare configuration and loader with the last good release, or write a new manifest."
        if harmful
        else "It changes no position by itself."
    )
    return Hit(
        "release_changed",
        FailureMode.WRONG_PARAMETERS,
        Severity.TICKET if harmful else Severity.INFO,
        f"Unlike the pinned manifest, {deviation.module} is {deviation.found}, not {deviation.expected}. {advice}",
        {"what": deviation.module, "before": deviation.expected, "after": deviation.found},
    )


def _diagnosis(deviation: Deviation) -> tuple[str, FailureMode, str]:
    if deviation.what == "dtype":
        return (
            "parameter_cast",
            FailureMode.PRECISION,
            "The frequencies were rounded to half precision. Usual cause: model.to(bfloat16) or .half() casts the "
            "buffer; load with dtype= instead, or restore inv_freq in float32 afterwards.",
        )
    if deviation.what == "zero_rows":
        return (
            "parameters_uninitialised",
            FailureMode.WRONG_PARAMETERS,
            "Nothing was ever written to them. Usual cause: a checkpoint of another length was copied into part of the "
            "table, or a shard did not load. Load it again, or interpolate the table to its new length.",
        )
    if deviation.what in ("inv_freq", "table", "slopes") and _is_garbage(deviation):
        return (
            "parameters_uninitialised",
            FailureMode.WRONG_PARAMETERS,
            "Nothing of the expected value is left. Usual cause: a buffer that is not in the checkpoint stayed "
            "uninitialised after loading on the meta device. Recompute it after loading.",
        )
    if deviation.what == "attention_factor":
        return (
            "attention_factor",
            FailureMode.WRONG_PARAMETERS,
            "Usual cause: a YaRN or longrope factor applied twice or not at all.",
        )
    if deviation.what == "rotary_output":
        return ("rotary_output", FailureMode.PRECISION, "Usual cause: the angles are computed in half precision.")
    if deviation.what == "slopes":
        return (
            "slopes",
            FailureMode.WRONG_PARAMETERS,
            "Usual cause: one geometric series for a head count that is no power of two.",
        )
    return (
        "parameters_wrong",
        FailureMode.WRONG_PARAMETERS,
        "Usual cause: rope_theta or rope scaling from another release, or a configuration key that this loader "
        "does not know. Compare the served configuration with the checkpoint's.",
    )


def _is_garbage(deviation: Deviation) -> bool:
    error = deviation.relative_error
    return not math.isfinite(error) or error > 1e3 or (deviation.what == "inv_freq" and _GARBAGE <= error <= 1.0)


def parameters_switched_with_cache(seen: Pass) -> Iterator[Hit]:
    """Rotary parameters changed while the cache still holds keys that were rotated with the old ones."""
    rotary = seen.facts.rotary
    if rotary is None or rotary.parameters_hash is None or seen.parameters_hash in (None, rotary.parameters_hash):
        return
    held = {i: row.cache_tokens for i, row in enumerate(seen.rows) if row.cache_tokens > 0}
    if not held:
        return
    yield Hit(
        "parameters_switched_with_cache",
        FailureMode.STREAMING_STATE,
        Severity.PAGE,
        f"The rotary frequencies changed while the cache of {rows_text(held, len(seen.rows))} holds "
        f"{max(held.values())} tokens that were rotated with the old ones: old and new keys no longer agree on "
        "distance. Usual cause: longrope or dynamic scaling crosses its switch length in a decode loop. Drop the "
        "cache and compute the prompt again at the switch.",
        {
            "rows": first(held),
            "cache_tokens": max(held.values()),
            "hash_before": seen.parameters_hash,
            "hash_now": rotary.parameters_hash,
        },
        frozenset(held),
    )
