"""How a call says which keys its queries may see, in words, for whoever reads a kept pass."""

from __future__ import annotations

import torch

from locant.probe.attention.calls import Attention, KernelCall
from locant.probe.attention.shaped import ShapedCall


def limits_of(call: Attention) -> str:
    """Words joined by "+": causal (the kernel's own), window (too), bool, added, bias, block, scores; "none"."""
    if isinstance(call, ShapedCall):
        functions = {"block": call.allows is not None, "scores": call.change is not None}
        return "+".join(name for name, is_so in functions.items() if is_so) or "none"
    if not isinstance(call, KernelCall):
        return "scores"
    given = call.mask
    named = {
        "causal": call.diagonal is not None,
        "window": call.diagonal is not None and call.window is not None,
        "bool": given is not None and given.dtype == torch.bool,
        "added": given is not None and given.dtype != torch.bool,
        "bias": call.bias is not None,
        "block": call.allows is not None,
    }
    return "+".join(name for name, is_so in named.items() if is_so) or "none"
