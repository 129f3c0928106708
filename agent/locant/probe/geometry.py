"""Layers, heads, window and cache size of a model, from its configuration."""

from __future__ import annotations

from typing import Any

from torch import nn

from locant.probe.structure import unwrap

_MIXED_WINDOW_KEYS = (
    "sliding_window_pattern",
    "_sliding_window_pattern",
    "global_attn_every_n_layers",
    "max_window_layers",
)


def read(config: Any, name: str) -> Any:
    """One setting of a configuration, None when it is absent or answers only with an error.

    Configurations whose layers differ raise on settings that have no single value.
    """
    try:
        return getattr(config, name, None)
    except (ValueError, TypeError, RuntimeError):
        return None


def first(config: Any, *names: str) -> Any:
    """The first of the named settings that the configuration has and that is not None."""
    for name in names:
        value = read(config, name)
        if value is not None:
            return value
    return None


def layers(config: Any) -> int | None:
    """Transformer layers of the part that decodes."""
    if read(config, "is_encoder_decoder"):
        return _integer(first(config, "decoder_layers", "num_decoder_layers", "num_hidden_layers", "num_layers"))
    return _integer(first(config, "num_hidden_layers", "n_layer", "n_layers", "num_layers"))


def heads(config: Any) -> int | None:
    """Query heads per layer."""
    if read(config, "is_encoder_decoder"):
        return _integer(first(config, "decoder_attention_heads", "num_attention_heads", "num_heads"))
    return _integer(first(config, "num_attention_heads", "n_head", "n_heads", "num_heads"))


def head_size(config: Any) -> int | None:
    """Channels per head: stated, or width over heads when that divides."""
    stated = _integer(first(config, "head_dim", "d_kv", "kv_channels"))
    if stated:
        return stated
    width, count = _integer(first(config, "hidden_size", "n_embd", "d_model", "dim")), heads(config)
    return width // count if width and count and width % count == 0 else None


def window(config: Any) -> int | None:
    """The sliding window when every layer has the same, else None."""
    size = _integer(first(config, "sliding_window"))
    if not size or read(config, "use_sliding_window") is False:
        return None
    types = read(config, "layer_types")
    if types is not None:
        return size if all(kind == "sliding_attention" for kind in types) else None
    mixed = first(
        config, "sliding_window_pattern", "_sliding_window_pattern", "global_attn_every_n_layers", "max_window_layers"
    )
    return None if mixed not in (None, 1) else size


def layer_window(module: nn.Module | None, usual: int | None) -> int | None:
    """The sliding window of one attention layer; `usual`: the model's, for layers that do not say.

    Some families keep the window in every layer, and say beside it that this one does not slide.
    """
    size = getattr(module, "sliding_window", usual)
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0 or read(module, "is_sliding") is False:
        return None
    kind = layer_kind(module)
    return size if not kind or "sliding" in kind else None


def layer_kind(module: nn.Module | None) -> str:
    """What the configuration calls an attention layer; "" where it has no name for each."""
    types, index = read(read(module, "config"), "layer_types"), read(module, "layer_idx")
    listed = isinstance(types, (list, tuple)) and isinstance(index, int) and 0 <= index < len(types)
    return str(types[index]) if listed else ""


def keeps_summaries(module: nn.Module | None) -> bool:
    """Whether some keys of a layer stand for many tokens at once: then columns are no positions."""
    return "compress" in layer_kind(module)


def cache_bytes_per_token(config: Any, model: nn.Module) -> int | None:
    """Expected bytes of keys and values per token, all layers; None where the layout is not the plain one."""
    count, size = _caching_layers(config), head_size(config)
    if count is None or size is None or first(config, "kv_lora_rank") is not None:
        return None
    multi_query = read(config, "multi_query") and not read(config, "new_decoder_architecture")
    kv_heads = 1 if multi_query else _integer(first(config, "num_key_value_heads", "num_kv_heads")) or heads(config)
    parameter = next((p for p in unwrap(model).parameters() if p.is_floating_point()), None)
    if not kv_heads or parameter is None:
        return None
    return 2 * count * kv_heads * size * parameter.element_size()


def _caching_layers(config: Any) -> int | None:
    types = read(config, "layer_types")
    if not types:
        return layers(config)
    if not all(isinstance(kind, str) for kind in types):
        return None
    return sum("attention" in kind and "linear" not in kind for kind in types)


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
