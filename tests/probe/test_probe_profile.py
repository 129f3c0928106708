"""Profiles: every family of the data against the installed transformers, and modules nobody has a configuration for."""

from __future__ import annotations

import copy
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from tinies import causal, config_of, tiny
from torch import nn

from locant.probe.audit import audit
from locant.probe.families import FAMILIES
from locant.probe.geometry import keeps_summaries, layer_window
from locant.probe.profile import describe, name_of, version_of
from locant.probe.structure import units
from locant_slo.errors import ModelError

transformers = pytest.importorskip("transformers")
_ELSEWHERE = {"musicgen_decoder", "trocr", "siglip_text_model", "siglip_vision_model", "pop2piano", "funnel"}
_ELSEWHERE |= {"gemma3n_text", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "glm4v", "clip_vision_model", "vivit"}
_HEAVY = {
    "reformer",
    "canine",
    "lxmert",
    "udop",
    "longt5",
    "nllb-moe",
    "deepseek_v3",
    "deepseek_v2",
    "llama4_text",
    "mamba2",
}


@pytest.mark.parametrize("model_type", sorted(set(FAMILIES) - _ELSEWHERE - _HEAVY))
def test_every_family_of_the_data_is_described_and_a_healthy_model_deviates_in_nothing(model_type):
    known = FAMILIES[model_type]
    model = tiny(model_type)
    profile = describe(model)
    assert profile.scheme == known.scheme
    assert profile.kind == known.kind
    assert audit(model, profile) == ()
    if known.scheme == "learned":
        assert profile.table_rows is not None
        assert profile.trained_tokens == profile.table_rows - profile.base
    if known.scheme in ("rope", "mrope") and model_type not in ("gptj", "codegen", "roformer"):
        assert units(model)[-1].rotaries, "no rotary module was found"


@pytest.mark.parametrize(
    ("model_type", "base", "rows", "trained"),
    [
        ("gpt2", 0, 128, 128),
        ("roberta", 1, 128, 127),
        ("opt", 2, 130, 128),
        ("biogpt", 2, 130, 128),
        ("bert", 0, 128, 128),
    ],
)
def test_numbering_starts_where_the_family_says(model_type, base, rows, trained):
    profile = describe(tiny(model_type))
    assert (profile.base, profile.table_rows, profile.trained_tokens) == (base, rows, trained)
    assert profile.absolute


def test_falcon_tells_its_scheme_by_a_switch():
    assert describe(causal("falcon")).scheme == "rope"
    assert describe(causal("falcon", alibi=True)).scheme == "alibi"


def test_cache_bytes_are_those_that_a_cache_really_takes():
    for model_type in ("llama", "gpt2", "falcon"):
        model = causal(model_type)
        cache = model(input_ids=torch.ones(1, 5, dtype=torch.long), use_cache=True).past_key_values
        held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        assert describe(model).cache_bytes_per_token == held // 5


def test_windows_count_only_where_every_layer_has_them():
    assert describe(causal("mistral", sliding_window=16)).window == 16
    assert describe(causal("gemma2", sliding_window=16)).window is None
    assert describe(causal("qwen2", sliding_window=16)).window is None


def test_a_layer_that_does_not_slide_has_no_window_whatever_it_keeps():
    mixed = SimpleNamespace(layer_types=["sliding_attention", "full_attention"])
    for layer, window in (
        (SimpleNamespace(sliding_window=8), 8),
        (SimpleNamespace(), 16),
        (SimpleNamespace(sliding_window=None), None),
        (SimpleNamespace(sliding_window=8, is_sliding=False), None),
        (SimpleNamespace(sliding_window=8, config=mixed, layer_idx=0), 8),
        (SimpleNamespace(sliding_window=8, config=mixed, layer_idx=1), None),
    ):
        assert layer_window(layer, 16) == window


def test_keys_of_compressed_layers_are_no_tokens():
    config = SimpleNamespace(layer_types=["sliding_attention", "heavily_compressed_attention"])
    told = [keeps_summaries(SimpleNamespace(config=config, layer_idx=index)) for index in (0, 1, 2)]
    assert told == [False, True, False]
    assert not keeps_summaries(None)


def test_qwen2_vl_is_described_by_its_text_part():
    text = {
        "vocab_size": 64,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    text |= {"num_key_value_heads": 4, "max_position_embeddings": 256, "rope_parameters": rope}
    vision = {"depth": 1, "embed_dim": 32, "num_heads": 2, "hidden_size": 64, "patch_size": 4, "mlp_ratio": 2}
    config = transformers.Qwen2VLConfig(text_config=text, vision_config=vision)
    model = transformers.Qwen2VLForConditionalGeneration(config)
    profile = describe(model)
    assert (profile.scheme, profile.trained_tokens, profile.layers, profile.absolute) == ("mrope", 256, 2, False)
    assert audit(model, profile) == ()


@pytest.mark.parametrize("wrap", [nn.DataParallel, partial(torch.compile, backend="eager")])
def test_wrappers_are_looked_through(wrap):
    model = causal("llama")
    assert describe(wrap(model)) == describe(model)


def test_a_vision_transformer_has_patches():
    model = transformers.ViTModel(config_of("vit", image_size=16, patch_size=8))
    profile = describe(model)
    assert (profile.scheme, profile.kind, profile.causal) == ("patches_2d", "encoder", False)


class Hand(nn.Module):
    """A model without a configuration."""

    def __init__(self, table: nn.Module | None) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 32, padding_idx=0)
        if table is not None:
            self.pos_encoder = table
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 2)

    def forward(self, src, src_key_padding_mask=None):
        return self.encoder(self.embed(src), src_key_padding_mask=src_key_padding_mask)


class Sinusoids(nn.Module):
    """The table of torch's own tutorial."""

    def __init__(self, width: int = 32, rows: int = 100) -> None:
        super().__init__()
        place, pair = torch.arange(rows)[:, None], torch.arange(0, width, 2)
        angle = place * torch.exp(pair * (-torch.log(torch.tensor(10000.0)) / width))
        self.register_buffer("pe", torch.stack([angle.sin(), angle.cos()], -1).reshape(1, rows, width))

    def forward(self, x):
        return x + self.pe[:, : x.shape[1]]


@pytest.mark.parametrize(
    ("table", "scheme", "rows"),
    [(nn.Embedding(64, 32), "learned", 64), (Sinusoids(), "sinusoidal", 100), (None, "unknown", None)],
)
def test_plain_modules_are_described_by_what_they_show(table, scheme, rows):
    model = Hand(table)
    profile = describe(model)
    assert (profile.scheme, profile.table_rows) == (scheme, rows)
    assert (profile.kind, profile.layers, profile.heads, profile.head_size) == ("encoder", 2, 4, 8)
    assert profile.pad_id == 0
    assert audit(model, profile) == ()


def test_what_is_no_module_is_refused_in_a_sentence():
    with pytest.raises(ModelError, match=r"not a torch\.nn\.Module"):
        describe(object())


def test_the_checksum_moves_with_what_is_positional_only():
    one, same, other = causal("llama"), causal("llama", rms_norm_eps=1e-3), causal("llama", max_position_embeddings=256)
    assert describe(one).config_hash == describe(same).config_hash != describe(other).config_hash
    assert version_of(one, describe(one)) == describe(one).config_hash
    assert name_of(one) == "LlamaForCausalLM"


def _cast(model):
    return model.to(torch.bfloat16)


def _garbage(model):
    model.model.rotary_emb.inv_freq.fill_(8.4e-45)
    return model


def _nan(model):
    model.model.rotary_emb.inv_freq[3] = float("nan")
    return model


def _factor(model):
    model.model.rotary_emb.attention_scaling = 1.5
    return model


def _theta(model):
    model.config.rope_parameters["rope_theta"] = 20000.0
    return model


@pytest.mark.parametrize(
    ("fault", "what"),
    [(_cast, "dtype"), (_garbage, "inv_freq"), (_nan, "inv_freq"), (_factor, "attention_factor"), (_theta, "inv_freq")],
)
def test_the_audit_names_what_deviates(fault, what):
    model = fault(causal("llama"))
    assert [found.what for found in audit(model, describe(model))] == [what]


def test_each_layer_type_has_its_own_reference():
    model = causal("gemma3_text", layer_types=["sliding_attention", "full_attention"])
    rotary = units(model)[-1].rotaries[0].module
    assert audit(model, describe(model)) == ()
    rotary.full_attention_inv_freq.copy_(rotary.sliding_attention_inv_freq)
    [found] = audit(model, describe(model))
    assert found.module.endswith("full_attention_inv_freq")


def test_broken_tables_are_found():
    model = tiny("gpt2")
    model.wpe.weight[7] = 0
    [found] = audit(model, describe(model))
    assert (found.what, found.found) == ("zero_rows", "1 rows of zeros")
    model.wpe.weight[9] = float("nan")
    assert audit(model, describe(model))[0].relative_error == float("inf")


def test_a_sinusoid_that_lost_its_shape_is_found():
    model = tiny("marian")
    table = units(model)[-1].tables[0].module
    table.weight.mul_(0.5)
    assert [found.what for found in audit(model, describe(model))] == ["table"]


def test_an_audit_changes_nothing():
    model = causal("llama")
    before = copy.deepcopy(model.state_dict())
    audit(model, describe(model))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
