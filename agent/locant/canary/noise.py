"""How far two computations of the same thing may differ before it is no rounding any more.

Measured as mean Kullback-Leibler divergence (nats) between the two next-token distributions. Healthy differences on two
models, random and trained, by padding, caching, chunks, shifts up to 8000 positions and fused attention: at most 2e-9
in float32 and 1e-3 in bfloat16; positional faults start at 8e-4 (rotary angles in bfloat16) and mostly exceed 1e-2.
"""

from __future__ import annotations

from collections.abc import Mapping

KL_LIMITS_NATS: Mapping[str, float] = {"float64": 1e-9, "float32": 1e-6, "float16": 1e-3, "bfloat16": 1e-2}
HIDDEN_LIMITS: Mapping[str, float] = {"float64": 1e-6, "float32": 1e-3, "float16": 2e-2, "bfloat16": 1e-1}
"""For models without logits: the norm of the difference of hidden states over their norm."""


def limit_for(dtype: str, *, logits: bool, overrides: Mapping[str, float]) -> float:
    """The largest difference that counts as rounding for a dtype such as `float32`; the widest for an unknown one."""
    limits = KL_LIMITS_NATS if logits else HIDDEN_LIMITS
    return overrides.get(dtype, limits.get(dtype, max(limits.values())))
