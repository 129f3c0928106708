"""Tiny random models of many families, built from configurations."""

from __future__ import annotations

import contextlib
import inspect
import io
from dataclasses import fields, is_dataclass
from typing import Any

import torch

_SMALL = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embedding_size", "word_embed_proj_dim"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("intermediate_size", "d_ff", "ffn_dim", "hidden_dim", "encoder_ffn_dim", "decoder_ffn_dim"), 64),
    **{"num_key_value_heads": 2, "d_kv": 8, "head_dim": 8, "rotary_dim": 4, "vocab_size": 64},
    **{"num_experts": 4, "num_local_experts": 4, "attention_types": [[["global", "local"], 1]], "attention_window": 4},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 128, "n_positions": 128},
    **{"num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 32, "decoder_start_token_id": 1},
}


def config_of(model_type: str, **changes: Any) -> Any:
    """A small configuration of a family; every size that the family has a name for is made small."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = CONFIG_MAPPING[model_type]
    names = {f.name for f in fields(kind)} if is_dataclass(kind) else set(inspect.signature(kind.__init__).parameters)
    return kind(**{**{name: value for name, value in _SMALL.items() if name in names}, **changes})


def tiny(model_type: str, auto: str = "AutoModel", *, attn: str = "eager", **changes: Any) -> Any:
    """A small random model of a family in eval mode."""
    import transformers

    torch.manual_seed(0)
    with contextlib.redirect_stderr(io.StringIO()):
        config = config_of(model_type, **changes)
        config._attn_implementation = attn
        return getattr(transformers, auto).from_config(config).eval()


def causal(model_type: str, **changes: Any) -> Any:
    """A small causal language model."""
    return tiny(model_type, "AutoModelForCausalLM", **changes)


def tokens(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    """Random ordinary token ids, int64 [batch, length]."""
    return torch.randint(10, 60, (batch, length), generator=torch.Generator().manual_seed(seed))


def left_padded(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask) of a left-padded batch with pad id 0."""
    longest = max(lengths)
    ids, mask = tokens(len(lengths), longest), torch.ones(len(lengths), longest, dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, : longest - length] = 0
        mask[row, : longest - length] = 0
    return ids, mask
