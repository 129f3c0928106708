"""Legal traffic on real families: what sampled queries see is exactly what they may see, or nothing is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from locant.observation import ABSENT, RowFacts, RowField
from probe.tinies import causal, left_padded, tiny, tokens

transformers = pytest.importorskip("transformers")

VISIBILITY = RowFacts._fields[RowField.WINDOW_EXCESS :]
WINDOW = 6
DECODERS = {
    "llama": {},
    "qwen2": {},
    "gpt2": {},
    "opt": {},
    "gpt_neox": {},
    "falcon": {"alibi": True, "new_decoder_architecture": False},
    "bloom": {},
    "mpt": {},
    "mistral": {"sliding_window": WINDOW},
    "gemma2": {"sliding_window": WINDOW},
    "gemma3_text": {"sliding_window": WINDOW},
    "gpt_oss": {"sliding_window": WINDOW},
    "llama4_text": {"attention_chunk_size": WINDOW},
    "gpt_neo": {},
}
EAGER_ONLY = {"bloom", "mpt", "gpt_neo", "gpt_oss", "gemma2"}
GREEDY = {"max_new_tokens": 9, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
Traffic = Callable[[Any], None]


def _ragged(model: Any) -> None:
    ids, mask = left_padded(13, 4, 9)
    model.generate(ids, attention_mask=mask, **GREEDY)


def _right_padded(model: Any) -> None:
    ids, mask = left_padded(13, 4, 9)
    model(input_ids=ids.flip(1), attention_mask=mask.flip(1), use_cache=False)


def _plain(model: Any) -> None:
    model(input_ids=tokens(2, 40))


def _static(model: Any) -> None:
    ids, mask = left_padded(11, 5)
    model.generate(ids, attention_mask=mask, cache_implementation="static", disable_compile=True, **GREEDY)


def _beams(model: Any) -> None:
    ids, mask = left_padded(8, 5)
    model.generate(ids, attention_mask=mask, num_beams=3, **GREEDY)


def _lookup(model: Any) -> None:
    ids = tokens(1, 6).repeat(1, 3)
    model.generate(ids, attention_mask=torch.ones_like(ids), prompt_lookup_num_tokens=3, **GREEDY)


def _chunked(model: Any) -> None:
    ids, mask = left_padded(24, 20)
    model.generate(ids, attention_mask=mask, prefill_chunk_size=7, **GREEDY)


def _packed(model: Any) -> None:
    places = torch.cat([torch.arange(9), torch.arange(17), torch.arange(6)])[None]
    model(input_ids=tokens(1, 32), position_ids=places, use_cache=False)


def _resumed(model: Any) -> None:
    ids = tokens(2, 30)
    first = model(input_ids=ids[:, :14], use_cache=True)
    model(input_ids=ids[:, 14:], past_key_values=first.past_key_values, use_cache=True)


TRAFFIC: dict[str, Traffic] = {
    "ragged": _ragged,
    "right padded": _right_padded,
    "plain": _plain,
    "static cache": _static,
    "beams": _beams,
    "prompt lookup": _lookup,
    "chunked prefill": _chunked,
    "packed": _packed,
    "resumed": _resumed,
}
UNABLE = {
    ("static cache", "bloom"), ("static cache", "mpt"), ("static cache", "falcon"), ("static cache", "gpt_neo"),
    ("packed", "bloom"), ("packed", "mpt"), ("packed", "falcon"), ("packed", "opt"), ("packed", "gpt2"),
    ("packed", "gpt_neo"), ("packed", "gpt_oss"), ("prompt lookup", "mpt"), ("chunked prefill", "mpt"),
}  # fmt: skip
"""What the families themselves cannot do: static caches, packed rows kept apart without a mask."""


def _wrong(seen: Any) -> list[tuple[int, str, int]]:
    """(pass, column, count) wherever something other than 0 was said."""
    return [
        (facts.pass_number, name, value)
        for facts in seen.passes
        for row in facts.rows
        for name, value in zip(VISIBILITY, row[RowField.WINDOW_EXCESS :], strict=True)
        if value not in (0, ABSENT)
    ]


CASES = [
    (traffic, family, attn)
    for traffic in TRAFFIC
    for family in DECODERS
    for attn in ("eager", "sdpa")
    if (traffic, family) not in UNABLE and not (attn == "sdpa" and family in EAGER_ONLY)
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("traffic", "family", "attn"), CASES)
def test_legal_traffic_is_never_accused(watch_model: Any, traffic: str, family: str, attn: str) -> None:
    model = causal(family, attn=attn, **DECODERS[family])
    seen = watch_model(model, attention_rate=1.0)
    TRAFFIC[traffic](model)
    assert _wrong(seen) == []
    assert seen.passes


def _spoken(seen: Any, name: str) -> list[int]:
    return [getattr(row, name) for facts in seen.passes for row in facts.rows]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("attn", ["eager", "sdpa"])
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "modernbert", "electra"])
def test_encoders_on_padded_batches_are_never_accused_and_padding_is_judged(
    watch_model: Any, family: str, attn: str
) -> None:
    model = tiny(family, attn=attn)
    seen = watch_model(model, attention_rate=1.0)
    ids, mask = left_padded(13, 4, 9)
    model(input_ids=ids.flip(1), attention_mask=mask.flip(1))
    assert _wrong(seen) == []
    assert _spoken(seen, "pads_visible") == [0, 0, 0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["t5", "bart", "marian", "pegasus", "mbart"])
def test_pairs_of_encoder_and_decoder_are_never_accused(watch_model: Any, family: str) -> None:
    model = tiny(family, "AutoModelForSeq2SeqLM")
    model.generation_config.decoder_start_token_id = 1
    seen = watch_model(model, attention_rate=1.0)
    ids, mask = left_padded(13, 4, 9)
    model.generate(ids.flip(1), attention_mask=mask.flip(1), **{**GREEDY, "max_new_tokens": 13})
    model(input_ids=ids.flip(1), attention_mask=mask.flip(1), decoder_input_ids=tokens(3, 13), use_cache=False)
    assert _wrong(seen) == []


def _additive(allowed: torch.Tensor) -> torch.Tensor:
    return torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)


def _distance(queries: int, cached: int = 0) -> torch.Tensor:
    return torch.arange(queries)[:, None] + cached - torch.arange(queries + cached)


def _prefix(length: int) -> torch.Tensor:
    allowed = _distance(length) >= 0
    allowed[:, : length // 3] = True
    return allowed


def _blocks(length: int) -> torch.Tensor:
    request = torch.arange(length) // (WINDOW - 1)
    return (_distance(length) >= 0) & (request[:, None] == request)


def _window(length: int) -> torch.Tensor:
    distance = _distance(length)
    return (distance >= 0) & (distance < WINDOW)


def _window_and_sinks(length: int) -> torch.Tensor:
    allowed = _window(length)
    allowed[:, :2] |= _distance(length)[:, :2] >= 0
    return allowed


def _padded(length: int) -> torch.Tensor:
    allowed = _window(length)
    allowed[:, :5] = False
    allowed[:5, :5] = torch.eye(5, dtype=torch.bool)
    return allowed


@pytest.mark.parametrize(
    ("family", "make"),
    [
        ("llama", _prefix),
        *((family, make) for family in ("llama", "mistral") for make in (_blocks, _window, _window_and_sinks, _padded)),
    ],
)
@pytest.mark.parametrize("attn", ["eager", "sdpa"])
def test_masks_of_the_callers_own_making_are_never_accused(watch_model: Any, attn: str, family: str, make: Any) -> None:
    model = causal(family, attn=attn, **DECODERS[family])
    seen = watch_model(model, attention_rate=1.0)
    model(input_ids=tokens(1, 30), attention_mask=_additive(make(30))[None, None], use_cache=False)
    assert _wrong(seen) == []


def test_a_draft_tree_on_a_cache_is_never_accused(watch_model: Any) -> None:
    model = causal("llama", attn="sdpa")
    seen = watch_model(model, attention_rate=1.0)
    cache = model(input_ids=tokens(1, 10), use_cache=True).past_key_values
    tree = torch.eye(5, dtype=torch.bool)
    tree[1:, 0] = True
    tree[3, 1] = tree[4, 2] = True
    allowed = torch.cat([torch.ones(5, 10, dtype=torch.bool), tree], 1)
    places = torch.tensor([[10, 11, 11, 12, 12]])
    model(
        input_ids=tokens(1, 5),
        attention_mask=_additive(allowed)[None, None],
        position_ids=places,
        past_key_values=cache,
    )
    assert _wrong(seen) == []


WRONG_MASKS = {
    "window_excess": (_distance(30) >= 0) & (_distance(30) <= WINDOW),
    "window_deficit": (_distance(30) >= 0) & (_distance(30) < WINDOW - 1),
    "future_visible": _distance(30) >= -1,
    "self_blind": _distance(30) > 0,
}


@pytest.mark.parametrize("name", WRONG_MASKS)
@pytest.mark.parametrize("attn", ["eager", "sdpa"])
def test_a_mask_off_by_one_is_seen(watch_model: Any, attn: str, name: str) -> None:
    family = "mistral" if name.startswith("window") else "llama"
    model = causal(family, attn=attn, **DECODERS[family])
    seen = watch_model(model, attention_rate=1.0)
    model(input_ids=tokens(1, 30), attention_mask=_additive(WRONG_MASKS[name])[None, None], use_cache=False)
    assert max(_spoken(seen, name)) >= 1


def test_packed_rows_that_a_family_does_not_keep_apart_are_seen(watch_model: Any) -> None:
    """GPT-OSS of transformers 5.23 builds its masks without position ids: later documents change with earlier ones."""
    model = causal("gpt_oss")
    ids, places = tokens(1, 32), torch.cat([torch.arange(9), torch.arange(23)])[None]
    apart = model(input_ids=ids[:, 9:], use_cache=False).logits[0]
    seen = watch_model(model, attention_rate=1.0)
    packed = model(input_ids=ids, position_ids=places, use_cache=False).logits[0, 9:]
    leaks = not torch.allclose(apart, packed, atol=1e-4)
    assert (max(_spoken(seen, "cross_visible")) > 0) == leaks


def test_rotated_masks_over_a_cache_are_seen(watch_model: Any) -> None:
    """A causal mask aligned with the first key although the queries stand at the end: each misses itself."""
    model = causal("llama")
    seen = watch_model(model, attention_rate=1.0)
    cache = model(input_ids=tokens(1, 10), use_cache=True).past_key_values
    corner = torch.arange(8)[:, None] >= torch.arange(18)
    model(input_ids=tokens(1, 8), attention_mask=_additive(corner)[None, None], past_key_values=cache)
    assert _spoken(seen, "self_blind")[-1] > 0
