"""Where a model keeps its positions: wrappers taken off, parts found, nothing called and nothing changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from locant.probe.families import BIAS_NAME, SIDE_TOWERS, TABLE_NAME
from locant_slo.errors import ModelError

_TABLE_NAME = re.compile(TABLE_NAME)
_NEARLY_ALL = 0.9


@dataclass(frozen=True, slots=True)
class Part:
    """A positional submodule with its dotted name."""

    name: str
    module: nn.Module


@dataclass(frozen=True, slots=True)
class Unit:
    """A module whose forward is one pass: the whole model, or the encoder and the decoder of a pair.

    `tables` hold a row per position, `rotaries` make cos and sin, `buckets` embed relative distances, `blocks` are
    the first layers, which are handed an ALiBi bias in the families that have one. torch's own layers are none of
    them: they take neither bias nor positions, and a hook on one would switch its fused path off.
    """

    module: nn.Module
    encoder: bool
    tables: tuple[Part, ...]
    rotaries: tuple[Part, ...]
    buckets: tuple[Part, ...]
    blocks: tuple[Part, ...]


def require_module(model: object) -> nn.Module:
    """`model` itself when it is a torch module; otherwise ModelError."""
    if isinstance(model, nn.Module):
        return model
    kind = type(model)
    raise ModelError(
        f"Cannot watch {kind.__module__}.{kind.__qualname__}: it is not a torch.nn.Module. "
        "Pass the model itself, for a pipeline its `.model`."
    )


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside DataParallel, FSDP, torch.compile and PEFT wrappers."""
    for _ in range(8):
        inner = _inside(model)
        if inner is None:
            return model
        model = inner
    return model


def _inside(model: nn.Module) -> nn.Module | None:
    for name in ("_orig_mod", "_fsdp_wrapped_module"):
        inner = getattr(model, name, None)
        if isinstance(inner, nn.Module):
            return inner
    base = getattr(model, "get_base_model", None)
    if hasattr(model, "peft_config") and callable(base):
        return cast(nn.Module, base())
    module = getattr(model, "module", None)
    wrapper = type(model).__name__ in {"DataParallel", "DistributedDataParallel", "FullyShardedDataParallel"}
    engine = hasattr(model, "config") is False and len(list(model.children())) == 1
    return module if isinstance(module, nn.Module) and (wrapper or engine) else None


def bearer(model: nn.Module) -> nn.Module:
    """The model whose configuration tells of the tokens: the innermost one, or what an adapter of one's own is around.

    An adapter has no configuration, and a single part that has one and reads tokens: nearly all that there is of it.
    """
    inner = unwrap(model)
    if getattr(inner, "config", None) is not None:
        return inner
    parts = [part for part in inner.children() if isinstance(_vocabulary(part), int)]
    return parts[0] if len(parts) == 1 and _weight(parts[0]) >= _NEARLY_ALL * _weight(inner) else inner


def _vocabulary(part: nn.Module) -> Any:
    config = getattr(part, "config", None)
    getter = getattr(config, "get_text_config", None)
    return getattr(getter() if callable(getter) else config, "vocab_size", None)


def _weight(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def entry(model: nn.Module) -> nn.Module:
    """The module to put the pass hooks on: the innermost model, but a compiled one stays compiled around it.

    Hooks inside `torch.compile` are traced away; those on the compiled module itself always run.
    """
    for _ in range(8):
        if isinstance(getattr(model, "_orig_mod", None), nn.Module):
            return model
        inner = _inside(model)
        if inner is None:
            return model
        model = inner
    return model


def text_config(model: nn.Module) -> Any | None:
    """The configuration of the part that reads tokens; None for a model without one."""
    config = getattr(bearer(model), "config", None)
    getter = getattr(config, "get_text_config", None)
    if getter is None or getattr(config, "is_encoder_decoder", False):
        return config
    return getter()


def units(model: nn.Module) -> tuple[Unit, ...]:
    """The passes to watch: (model,) or (encoder, decoder)."""
    inner = bearer(model)
    if getattr(getattr(inner, "config", None), "is_encoder_decoder", False):
        pair = _pair(inner)
        if pair is not None:
            return (_unit(pair[0], pair[0], encoder=True), _unit(pair[1], pair[1], encoder=False))
    return (_unit(entry(model), unwrap(model), encoder=False),)


def _pair(model: nn.Module) -> tuple[nn.Module, nn.Module] | None:
    try:
        encoder, decoder = model.get_encoder(), model.get_decoder()  # type: ignore[operator]
    except (AttributeError, TypeError, NotImplementedError, ValueError):
        return None
    sound = isinstance(encoder, nn.Module) and isinstance(decoder, nn.Module) and encoder is not decoder
    return (encoder, decoder) if sound and model not in (encoder, decoder) else None


def _unit(hooked: nn.Module, model: nn.Module, *, encoder: bool) -> Unit:
    parts = list(_text_parts(model))
    return Unit(
        module=hooked,
        encoder=encoder,
        tables=tuple(part for part in parts if _is_table(part)),
        rotaries=tuple(part for part in parts if inv_freq_names(part.module)),
        buckets=tuple(
            part for part in parts if part.name.endswith(BIAS_NAME) and isinstance(part.module, nn.Embedding)
        ),
        blocks=tuple(
            Part(f"{part.name}.0", part.module[0])
            for part in parts
            if isinstance(part.module, nn.ModuleList) and len(part.module) and ".0." not in part.name + "."
            if not isinstance(part.module[0], (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer))
        )[:2],
    )


def _text_parts(model: nn.Module) -> Iterator[Part]:
    multimodal = text_config(model) is not getattr(bearer(model), "config", None)
    for name, module in model.named_modules():
        if not (multimodal and SIDE_TOWERS.intersection(name.split("."))):
            yield Part(name, module)


def _is_table(part: Part) -> bool:
    last = part.name.rsplit(".", 1)[-1].lower()
    if inv_freq_names(part.module) or "conv" in type(part.module).__name__.lower():
        return False
    named = bool(_TABLE_NAME.match(last)) or "positional" in type(part.module).__name__.lower()
    return named and table_of(part.module) is not None


def table_of(module: nn.Module) -> torch.Tensor | None:
    """The tensor with one row per position that `module` itself holds, [rows, width] or with a leading or middle 1."""
    own = [
        t for t in (*module._parameters.values(), *module._buffers.values(), *plain_tensors(module)) if t is not None
    ]
    own = [t for t in own if t.is_floating_point() and t.dim() in (2, 3) and (t.dim() == 2 or 1 in t.shape[:2])]
    return max(own, key=lambda t: t.numel(), default=None)


def table_rows(table: torch.Tensor) -> int:
    """Rows of a table of shape [rows, width], [1, rows, width] or [rows, 1, width]."""
    return int(table.shape[0] if table.dim() == 2 else max(table.shape[0], table.shape[1]))


def filled_rows(table: torch.Tensor) -> int:
    """Rows up to the last one that is not all zeros: a table that was made longer is often padded with those.

    All rows when none is filled, or where the values cannot be read (on the meta device).
    """
    rows = table_rows(table)
    if table.device.type == "meta":
        return rows
    with torch.no_grad():
        used = (table.detach().reshape(-1, table.shape[-1]) != 0).any(-1).nonzero()
    return int(used[-1]) + 1 if len(used) and rows * table.shape[-1] == table.numel() else rows


def plain_tensors(module: nn.Module) -> list[torch.Tensor]:
    """Tensors that hang on a module as plain attributes, as hand-written caches do."""
    return [value for value in module.__dict__.values() if isinstance(value, torch.Tensor)]


def inv_freq_names(module: nn.Module) -> tuple[str, ...]:
    """Names of the inverse-frequency tensors in use, e.g. ("inv_freq",) or ("sliding_attention_inv_freq", ...)."""
    names = [
        *module._buffers,
        *module._parameters,
        *(k for k, v in module.__dict__.items() if isinstance(v, torch.Tensor)),
    ]
    found = [n for n in names if n.endswith("inv_freq") and "original" not in n and "long_inv" not in n]
    return tuple(n for n in found if isinstance(getattr(module, n, None), torch.Tensor))
