"""What of a model's settings the reduction of its passes needs."""

from __future__ import annotations

from typing import Any

from torch import nn

from locant.observation import ModelProfile
from locant.probe.row_inputs import RowRules
from locant.probe.structure import bearer, text_config

_SPECIAL_SHARE = 16
"""Special tokens sit in the lowest sixteenth of a vocabulary: 102 of 30,522 in BERT's."""


def row_rules(model: nn.Module, profile: ModelProfile, *, salt: int) -> RowRules:
    """The rules of a model. A pad id that is also a begin or end token is padding only in company."""
    sources = [
        text_config(model),
        getattr(bearer(model), "config", None),
        getattr(bearer(model), "generation_config", None),
    ]
    starts = {i for source in sources for i in _ids(source, "bos_token_id", "decoder_start_token_id", "eos_token_id")}
    ends = {i for source in sources for i in _ids(source, "eos_token_id")}
    return RowRules(
        base=profile.base if profile.absolute else 0,
        pad_id=profile.pad_id,
        pad_starts=profile.pad_id in starts,
        pad_ends=profile.pad_id in ends,
        separator_id=profile.separator_id,
        special_below=(getattr(text_config(model), "vocab_size", None) or 0) // _SPECIAL_SHARE,
        token_types=profile.token_types,
        salt=salt,
    )


def _ids(source: Any, *names: str) -> set[int]:
    values = (getattr(source, name, None) for name in names)
    return {
        i for value in values for i in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(i, int)
    }
