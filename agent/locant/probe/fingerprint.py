"""A model's positional fingerprint: parameters, tables, rotary phases and answers to a fixed token canary."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import nn

from locant.manifest import GoldenRow, Manifest, RotaryPrint, TablePrint
from locant.observation import ModelProfile
from locant.probe.bare import bare_tables
from locant.probe.profile import describe, name_of, version_of
from locant.probe.structure import inv_freq_names, table_of, table_rows, text_config, units, unwrap

PHASE_POSITIONS = (1, 17, 257, 4097)
GOLDEN_TOKENS = 64
GOLDEN_TOP = 8
_FIRST_ORDINARY_SHARE = 0.1
"""The lowest tenth of a vocabulary holds its special tokens in most families: the canary stays above it."""


def fingerprint(model: nn.Module, *, golden: bool = True) -> Manifest:
    """The manifest of `model` as it stands. With `golden` it answers one fixed sequence (one short forward pass)."""
    profile = describe(model)
    return Manifest(
        model=name_of(model),
        model_version=version_of(model, profile),
        profile=profile,
        rotaries=tuple(_rotaries(model)),
        tables=tuple(_tables(model)),
        golden=tuple(_golden(model, profile)) if golden else (),
        dtype=_dtype(next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)),
    )


def _rotaries(model: nn.Module) -> Iterator[RotaryPrint]:
    for unit in units(model):
        for part in unit.rotaries:
            for name in inv_freq_names(part.module):
                pristine = getattr(part.module, f"original_{name}", None)
                inv_freq = pristine if isinstance(pristine, torch.Tensor) else getattr(part.module, name)
                yield RotaryPrint(
                    module=f"{part.name}.{name}",
                    kind=str(getattr(part.module, "rope_type", "default")),
                    dtype=_dtype(inv_freq.dtype),
                    checksum=_checksum(inv_freq),
                    attention_factor=float(getattr(part.module, "attention_scaling", 1.0)),
                    phases=_phases(inv_freq),
                )


def _phases(inv_freq: torch.Tensor) -> tuple[float, ...]:
    """cos(position * inv_freq) in float64, positions major, as a flat tuple."""
    frequencies = inv_freq.detach().to("cpu", torch.float64).flatten()
    positions = torch.tensor(PHASE_POSITIONS, dtype=torch.float64)
    return tuple(torch.outer(positions, frequencies).cos().flatten().tolist())


def _tables(model: nn.Module) -> Iterator[TablePrint]:
    for unit in units(model):
        for part in unit.tables:
            table = table_of(part.module)
            if table is not None:
                yield _table_print(part.name, table)
    for bare in bare_tables(model):
        yield _table_print(bare.name, bare.tensor)


def _table_print(name: str, table: torch.Tensor) -> TablePrint:
    return TablePrint(name, table_rows(table), int(table.shape[-1]), _dtype(table.dtype), _checksum(table))


def _golden(model: nn.Module, profile: ModelProfile) -> Iterator[GoldenRow]:
    vocabulary = getattr(text_config(model), "vocab_size", None)
    if not isinstance(vocabulary, int) or vocabulary < 16:
        return
    length = min(GOLDEN_TOKENS, profile.trained_tokens or GOLDEN_TOKENS)
    logits = _answer(model, _canary_tokens(vocabulary, length), profile)
    if logits is None:
        return
    log_probabilities = logits.double().log_softmax(-1)
    best = log_probabilities.topk(min(GOLDEN_TOP, log_probabilities.shape[-1]), dim=-1)
    for position in range(log_probabilities.shape[0]):
        yield GoldenRow(position, tuple(best.indices[position].tolist()), tuple(best.values[position].tolist()))


def _canary_tokens(vocabulary: int, length: int) -> torch.Tensor:
    """Fixed pseudo-random ordinary tokens, int64 [1, length]: a hash of the index, the same on every machine."""
    first = int(vocabulary * _FIRST_ORDINARY_SHARE)
    digests = (hashlib.sha256(str(index).encode()).digest() for index in range(length))
    return torch.tensor([[first + int.from_bytes(digest[:8], "little") % (vocabulary - first) for digest in digests]])


def _answer(model: nn.Module, tokens: torch.Tensor, profile: ModelProfile) -> torch.Tensor | None:
    """Logits [length, vocabulary] on the CPU, or None for a model that gives none."""
    inner = unwrap(model)
    device = next((p.device for p in inner.parameters()), torch.device("cpu"))
    tokens = tokens.to(device)
    arguments = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    if profile.kind == "encoder_decoder":
        arguments["decoder_input_ids"] = tokens
    training = inner.training
    inner.eval()
    try:
        with torch.no_grad():
            logits = getattr(inner(**arguments), "logits", None)
    finally:
        inner.train(training)
    fits = isinstance(logits, torch.Tensor) and logits.dim() == 3 and logits.shape[1] == tokens.shape[1]
    return logits[0].detach().cpu() if fits and logits is not None else None


def _checksum(tensor: torch.Tensor) -> str:
    values = tensor.detach().to("cpu", torch.float32).contiguous()
    return hashlib.sha256(values.numpy().tobytes()).hexdigest()[:16]


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
