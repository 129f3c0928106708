"""Everything that the inputs of a pass reduce to: on the agent's thread, or at once where they lie."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from locant.probe.masks import kept_tokens
from locant.probe.places import places
from locant.probe.row_inputs import RowInputs, RowRules
from locant.probe.rows import reduce_rows
from locant.probe.segments import segments_astray


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a pass wants of its positions: none, or those of a pass that was looked at, or was looked at whole."""

    places: bool
    whole: bool


def reduced(inputs: RowInputs, rules: RowRules, wanted: Wanted) -> dict[str, Tensor]:
    """`rows`, for a pass whose attention was looked at `places`, and where there are token types `segments`."""
    found = {"rows": reduce_rows(inputs, rules), **beside_rows(inputs, rules, wanted)}
    if inputs.token_types is not None:
        astray = segments_astray(inputs, rules, kept_tokens(inputs, rules))
        found |= {"segments": astray} if astray is not None else {}
    return found


def beside_rows(inputs: RowInputs, rules: RowRules, wanted: Wanted) -> dict[str, Tensor]:
    """What a call of one token per row has beside its rows."""
    stands = places(inputs, rules, whole=wanted.whole) if wanted.places else None
    return {"places": stands} if stands is not None else {}
