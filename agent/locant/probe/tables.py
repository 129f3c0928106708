"""Sinusoidal position tables against their formula, in float64.

PE(p, 2i) = sin(p / 10000^(2i/d)), PE(p, 2i+1) = cos(...): Vaswani et al. 2017, section 3.5. Implementations differ in
whether the halves are interleaved, in the denominator of the exponent and in where counting starts: every one is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from locant.probe.structure import table_of

_ROWS = 64
SINUSOID_TOLERANCE = 0.05


def two_dimensional(table: torch.Tensor) -> torch.Tensor:
    """A table of shape [rows, width], [1, rows, width] or [rows, 1, width] as [rows, width]."""
    return table if table.dim() == 2 else table.reshape(-1, table.shape[-1])


def is_sinusoidal(module: nn.Module) -> bool:
    """Whether a module's table is a sinusoid by name and by value."""
    table = table_of(module)
    return table is not None and sinusoid_error(table) < SINUSOID_TOLERANCE


def sinusoid_error(table: torch.Tensor, rows: int = _ROWS) -> float:
    """Largest absolute distance of a table from the nearest published sinusoid; inf when it holds no finite number.

    Looks at `rows` rows spread over the table. Scaled tables (some multiply by a learned factor) are not matched.
    """
    with torch.no_grad():
        flat = two_dimensional(table.detach())
        index = torch.linspace(0, flat.shape[0] - 1, min(rows, flat.shape[0]), dtype=torch.float64).round().long()
        found = flat[index.to(flat.device)].to("cpu", torch.float64)
        if not bool(torch.isfinite(found).all()):
            return math.inf
        padding = (found == 0).all(-1)
        candidates = (_distance(found, reference, padding) for reference in _variants(index, flat.shape[1]))
        return min(candidates, default=math.inf)


def _distance(found: torch.Tensor, reference: torch.Tensor, padding: torch.Tensor) -> float:
    """A row of zeros is a padding row and may be."""
    gap = (found - reference).abs().amax(-1).masked_fill(padding, 0.0)
    return float(gap.max()) if not bool(padding.all()) else math.inf


def _variants(index: torch.Tensor, width: int) -> Iterator[torch.Tensor]:
    half = width // 2
    if half < 2:
        return
    exponents = (
        torch.arange(half, dtype=torch.float64) / half,  # the paper's
        torch.arange(half, dtype=torch.float64) / (half - 1),  # tensor2tensor's, fairseq's
    )
    for exponent in exponents:
        for start in (0, 1):
            angle = (index.double() + start)[:, None] * torch.exp(-math.log(10000.0) * exponent)
            sine, cosine = angle.sin(), angle.cos()
            for one, other in ((sine, cosine), (cosine, sine)):
                yield _fit(torch.cat([one, other], -1), width)
                yield _fit(torch.stack([one, other], -1).flatten(1), width)


def _fit(reference: torch.Tensor, width: int) -> torch.Tensor:
    return nn.functional.pad(reference, (0, width - reference.shape[1]))
