"""The encoder's padding, open to the decoder's cross attention (F3)."""

from __future__ import annotations

from collections.abc import Iterator

from locant.sidecar.checks.hit import Hit, Pass, first, rows_text
from locant_slo.findings import FailureMode, Severity


def encoder_pads_open(seen: Pass) -> Iterator[Hit]:
    """Tokens that the encoder was told are padding and the decoder was not."""
    found = {i: pads for i, pads in enumerate(seen.facts.encoder_pads_open) if pads > 0}
    if not found:
        return
    total = len(seen.facts.encoder_pads_open)
    yield Hit(
        "encoder_pads_open",
        FailureMode.PADDING_LEAKAGE,
        Severity.PAGE,
        f"The decoder may attend to up to {max(found.values())} padding tokens of its encoder in "
        f"{rows_text(found, total)}: the encoder had a mask that hides them, the decoder's cross attention has not. "
        "Usual cause: encoder outputs computed beforehand and passed on without attention_mask, or a forgotten "
        "memory_key_padding_mask. Pass the encoder's mask with every decoder call.",
        {"rows": first(found), "pads": [found[i] for i in first(found)], "phase": seen.facts.phase},
        frozenset(i for i in found if i < len(seen.rows)),
        all_rows=not seen.rows,
    )
