"""Models written by hand: caches as tuples, positions from a number, frequencies without a configuration."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from checks_models import alerts, batch, words  # noqa: E402
from torch import nn  # noqa: E402


class Rotation(nn.Module):
    """Rotary embedding that is told where to start."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("inv_freq", 10000.0 ** -(torch.arange(0, size, 2) / size), persistent=False)

    def forward(self, x, start):
        angle = torch.arange(start, start + x.shape[-2])[:, None] * self.inv_freq.float()
        one, other = x.chunk(2, -1)
        return torch.cat([one * angle.cos() - other * angle.sin(), other * angle.cos() + one * angle.sin()], -1)


class Written(nn.Module):
    """A decoder of one layer that returns (logits, keys and values), with a table or with rotation."""

    def __init__(self, *, rotary: bool) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(64, 16), None if rotary else nn.Embedding(64, 16)
        self.rope = Rotation(16) if rotary else None
        self.parts = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))

    def forward(self, idx, past=None, start_pos=None):
        start = start_pos if start_pos is not None else past[0][0].shape[2] if past else 0
        x = self.wte(idx)
        if self.wpe is not None:
            x = x + self.wpe(torch.arange(start, start + idx.shape[1]))
        query, key, value = (part(x)[:, None] for part in self.parts)
        if self.rope is not None:
            query, key = self.rope(query, start), self.rope(key, start)
        if past:
            key, value = torch.cat([past[0][0], key], 2), torch.cat([past[0][1], value], 2)
        hidden = torch.ones(idx.shape[1], key.shape[2]).tril(key.shape[2] - idx.shape[1]) == 0
        weights = (query @ key.transpose(-1, -2) / math.sqrt(16)).masked_fill(hidden, -math.inf).softmax(-1)
        return (weights @ value)[:, 0] @ self.wte.weight.t(), [(key, value)]


def decode(model, shift=0):
    _, past = model(words(9)[None])
    for step in range(3):
        _, past = model(words(1, step)[None], past, start_pos=9 + step + shift)


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("shift", [1, -9])
def test_a_cache_of_tuples_is_followed_from_call_to_call(rotary, shift):
    torch.manual_seed(0)
    model = Written(rotary=rotary)
    assert not alerts(model, lambda: decode(model))
    assert alerts(model, lambda: decode(model, shift)) & {"offset_changed", "cache_not_reset", "absolute_base"}


def test_frequencies_in_half_precision_are_no_series_any_more():
    model = Written(rotary=True)
    model.rope.inv_freq = model.rope.inv_freq.to(torch.bfloat16)
    assert alerts(model, lambda: model(words(9)[None])) == {"parameter_cast"}


class Encoder(nn.Module):
    """torch's own stack over embeddings with positions, [sequence, batch] or [batch, sequence]."""

    def __init__(self, *, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.embed, self.pos_encoder = nn.Embedding(64, 16, padding_idx=0), nn.Embedding(32, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=batch_first)
        self.stack = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, src, src_key_padding_mask=None):
        positions = self.pos_encoder(torch.arange(src.shape[1 if self.batch_first else 0]))
        x = self.embed(src) + (positions if self.batch_first else positions[:, None])
        return self.stack(x, src_key_padding_mask=src_key_padding_mask)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_padding_mask_is_rows_by_tokens_whatever_the_tokens_are(batch_first):
    torch.manual_seed(0)
    model, (ids, mask) = Encoder(batch_first=batch_first).eval(), batch("right", 12, 5, 9)
    ids = ids if batch_first else ids.t().contiguous()
    assert not alerts(model, lambda: model(ids, mask == 0), lambda: model(ids, src_key_padding_mask=mask == 0))
    assert "mask_inverted" in alerts(model, lambda: model(ids, mask == 1))
    assert "pads_unmasked" in alerts(model, lambda: model(ids))
