"""Which positional parameters a model really uses: another set than the configured one, and what no fault is."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from checks_models import alerts, ready, words  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [2.0, 4.0, 8.0, 16.0],
    "original_max_position_embeddings": 32,
}


def phi3():
    return ready("phi3", rope_parameters=LONGROPE, original_max_position_embeddings=32, hidden_size=32)


def score(model, length=60):
    return alerts(model, lambda: model(input_ids=words(length)[None], use_cache=False))


def test_longrope_uses_its_long_factors_beyond_the_original_length():
    assert not score(phi3())
    model = phi3()
    rotary = model.model.rotary_emb

    def short(x, position_ids, layer_type=None):
        angle = torch.cat([position_ids[..., None] * rotary.original_inv_freq] * 2, -1)
        return angle.cos() * rotary.attention_scaling, angle.sin() * rotary.attention_scaling

    rotary.forward = short
    assert score(model) == {"parameters_wrong"}


def test_local_and_global_layers_have_their_own_frequencies():
    model = ready("gemma3_text", num_hidden_layers=6)
    assert not score(model)
    rotary, other = model.model.rotary_emb, {"sliding_attention": "full_attention"}
    plain = rotary.forward
    rotary.forward = lambda x, positions, layer_type: plain(x, positions, other.get(layer_type, "sliding_attention"))
    assert score(model) == {"parameters_wrong"}


def test_falcons_alibi_counts_in_bfloat16_and_its_rotary_module_has_no_effect():
    model = ready("falcon", alibi=True, max_position_embeddings=512)
    assert not score(model, 400)
    assert not score(model.to(torch.bfloat16), 400)


@pytest.mark.parametrize(("kind", "module"), [("mpt", "mpt"), ("bloom", "bloom")])
def test_slopes_are_measured_whatever_length_the_bias_has(kind, module, monkeypatch):
    sizes = {"n_heads": 6, "d_model": 48} if kind == "mpt" else {"n_head": 6, "hidden_size": 48}
    model = ready(kind, **sizes)
    mask = torch.ones(1, 30, dtype=torch.long)

    def masked():
        model(input_ids=words(30)[None], attention_mask=mask, use_cache=False)

    assert not alerts(model, masked)
    bias = {"mpt": "build_mpt_alibi_tensor", "bloom": "build_alibi_tensor"}[kind]
    place = f"transformers.models.{module}.modeling_{module}.{bias}"
    good = getattr(__import__(place.rpartition(".")[0], fromlist=["x"]), bias)
    monkeypatch.setattr(place, lambda *args, **kwargs: good(*args, **kwargs) * 1.5)
    assert alerts(model, masked) == {"slopes"}


@pytest.mark.parametrize("kind", ["gpt_neox", "qwen3"])
def test_another_part_of_each_head_is_rotated_than_the_configuration_says(kind):
    model = ready(kind, hidden_size=64, head_dim=16)
    assert not score(model, 20)
    rotary = next(module for module in model.modules() if "inv_freq" in module._buffers)
    half = len(rotary.inv_freq) // 2
    rotary.inv_freq = 10000.0 ** -(torch.arange(half) / half)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "forward", lambda **inputs: None)
        assert score(model, 20) == {"parameters_wrong"}


@pytest.mark.parametrize(("kind", "auto"), [("gpt_neo", "AutoModelForCausalLM"), ("electra", "AutoModelForMaskedLM")])
def test_a_table_padded_with_empty_rows_ends_where_they_begin(kind, auto):
    model = ready(kind, auto)
    table = next(module for name, module in model.named_modules() if name.endswith(("wpe", "position_embeddings")))
    table.weight[100:] = 0
    assert not alerts(model, lambda: model(input_ids=words(100)[None]))
    assert alerts(model, lambda: model(input_ids=words(110)[None])) == {"table_overflow"}
