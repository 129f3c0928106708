"""A small serving loop that shortens its cache in right and wrong ways, on real transformers."""

from __future__ import annotations

from typing import Any

import torch
from tinies import tokens
from torch import Tensor

SINKS, GONE = 2, 5

WIDE = {"hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}
SIZES = {
    "llama": {**WIDE, "head_dim": 32},
    "cohere": {**WIDE, "head_dim": 32},
    "glm": {**WIDE, "head_dim": 32},
    "gpt_neox": WIDE,
    "phi": WIDE,
    "gptj": {"n_embd": 128, "n_head": 4, "rotary_dim": 16},
}
"""Heads wide enough for more than a pair or two to turn."""

LAYOUTS = {"gptj": "neighbours", "glm": "neighbours", "cohere": "neighbours"}
"""How a family pairs channels; halves where it is not named."""


def turned(keys: Tensor, shift: int, frequencies: Tensor, layout: str) -> Tensor:
    """Keys [..., size] turned on by `shift` positions; channels beyond the rotated ones stay."""
    count = frequencies.numel()
    channel = torch.arange(count)
    real, imaginary = (channel, count + channel) if layout == "halves" else (2 * channel, 2 * channel + 1)
    cos, sin = (shift * frequencies.double()).cos(), (shift * frequencies.double()).sin()
    out = keys.double()
    old = out.clone()
    out[..., real] = old[..., real] * cos - old[..., imaginary] * sin
    out[..., imaginary] = old[..., real] * sin + old[..., imaginary] * cos
    return out.to(keys.dtype)


def frequencies_of(model: Any) -> Tensor:
    """The model's inverse frequencies; GPT-J's, which it keeps in a table of sines only, from its formula."""
    for module in model.modules():
        if isinstance(getattr(module, "inv_freq", None), Tensor):
            return module.inv_freq
    size = model.config.rotary_dim
    return 10000 ** -(torch.arange(0, size, 2, dtype=torch.float64) / size)


def change(cache: Any, edit: Any) -> None:
    """Every layer's keys and values edited: `edit(keys, True)`, `edit(values, False)`."""
    for layer in cache.layers:
        layer.keys, layer.values = edit(layer.keys, True), edit(layer.values, False)


def serve(model: Any, shift: str, cache: Any, *, batch: int = 2, steps: int = 3) -> None:
    """A prompt, some tokens, one shortening of the cache, some tokens more."""
    ids = tokens(batch, 40, seed=3)
    kind, rope = LAYOUTS.get(model.config.model_type, "halves"), None
    frequencies = frequencies_of(model)

    def call(start: int, count: int, place: int) -> None:
        where = torch.arange(place, place + count).expand(batch, -1)
        model(input_ids=ids[:, start : start + count], position_ids=where, past_key_values=cache, use_cache=True)

    call(0, 12, 0)
    for i in range(12, 12 + steps):
        call(i, 1, i)
    at = place = 12 + steps
    if shift == "crop":
        cache.crop(-3)
        at = place = at - 3
    elif shift == "reordered":
        change(cache, lambda t, _: t.roll(1, 2))
    elif shift == "misnumbered":
        place -= GONE
    elif shift != "none":
        turn = {"turn": -GONE, "turn_too_little": 1 - GONE, "turn_other_theta": -GONE}.get(shift, 0)
        rope = frequencies**0.8 if shift == "turn_other_theta" else frequencies
        layout = kind

        def edit(t: Tensor, keys: bool) -> Tensor:
            rest = t[:, :, SINKS + GONE :]
            return torch.cat([t[:, :, :SINKS], turned(rest, turn, rope, layout) if keys and turn else rest], 2)

        change(cache, edit)
        place -= 0 if shift == "run_on" else GONE
    for i in range(steps):
        call(at + i, 1, place + i)


RIGHT = ("none", "run_on", "turn", "crop")
WRONG = ("renumber", "turn_too_little", "turn_other_theta")
