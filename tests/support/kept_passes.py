"""Passes as the keeper would keep them, and findings for them."""

from __future__ import annotations

from dataclasses import replace

from locant.observation import ABSENT, AttentionFacts, ForwardFacts, ModelAttached, RowFacts
from locant.sidecar.kept.passes import STATISTICS, KeptPass, keep
from locant_slo.findings import FailureMode, Finding, Severity
from support.sidecar_traffic import MODEL, PROFILE, START, VERSION

FINDING = Finding(
    FailureMode.BATCH_MIXUP, Severity.PAGE, "absolute_base", "Row 1 starts +3 off.", {}, MODEL, VERSION, START, START
)
ATTACHED = ModelAttached(1, START, MODEL, VERSION, PROFILE)


def forward(number: int, *, time: float | None = None, positions: bool = True) -> ForwardFacts:
    """A prefill of two rows of six tokens, the second with three pads on the left."""
    rows = tuple(
        RowFacts(*[ABSENT] * len(RowFacts._fields))._replace(
            real=6 - pads, left_pads=pads, first_position=pads, last_position=5, first_token_hash=77 + pads
        )
        for pads in (0, 3)
    )
    places = {"position_columns": tuple(range(6)), "positions": ((0, 1, 2, 3, 4, 5), (ABSENT,) * 3 + (3, 4, 5))}
    return ForwardFacts(
        model_id=1,
        time=START + number if time is None else time,
        pass_number=number,
        phase="prefill",
        duration_seconds=0.25,
        queries=6,
        rows=rows,
        mask_rank=2,
        request_ids=("ab", "cd"),
        trace_id="0af7651916cd43dd8448eb211c80319c",
        span_id="b7ad6b7169203331",
        **(places if positions else {}),
    )


def layer(number: int, index: int = 0, bins: int = 4) -> AttentionFacts:
    """Statistics of four heads over eight rows, and a heat map."""
    sums = dict.fromkeys(STATISTICS, (0.5, 1.0, 1.5, 2.0))
    heat = tuple(float(i) / 4 for i in range(bins * bins))
    return AttentionFacts(
        model_id=1,
        time=START + number,
        pass_number=number,
        layer=index,
        rows=8,
        padded_rows=4,
        padding_mass_largest=0.25,
        heat_head=2,
        heat_bins=bins,
        heat=heat,
        heat_rows=tuple(range(bins)),
        **sums,
    )


def kept(number: int = 1, *, finding: Finding = FINDING, time: float | None = None, layers: int = 2) -> KeptPass:
    """A pass of `forward` kept for a finding."""
    return keep(finding, forward(number, time=time), tuple(layer(number, index) for index in range(layers)))


def other(check: str, severity: Severity = Severity.PAGE) -> Finding:
    """A finding of another check."""
    return replace(FINDING, check=check, severity=severity)
