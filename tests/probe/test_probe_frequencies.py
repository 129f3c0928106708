"""Our float64 frequencies and slopes beside the library's float32 ones, on healthy configurations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.probe.frequencies import frequencies
from locant.probe.rope_config import rope_sets, trained_tokens
from locant.probe.slopes import alibi_slopes

transformers = pytest.importorskip("transformers")

SCALINGS = {
    "default": {},
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 2.0},
    "yarn": {"factor": 8.0, "original_max_position_embeddings": 64},
    "yarn_mscale": {"factor": 40.0, "original_max_position_embeddings": 128, "mscale": 1.0, "mscale_all_dim": 0.7},
    "yarn_soft": {"factor": 32.0, "original_max_position_embeddings": 4096, "truncate": False, "beta_fast": 16.0},
    "longrope": {
        "short_factor": [1.0] * 8,
        "long_factor": [2.0**i for i in range(8)],
        "original_max_position_embeddings": 64,
    },
    "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 128},
    "proportional": {"partial_rotary_factor": 0.5},
}


def _config(name: str, theta: float = 10000.0):
    scaling = {"rope_type": name.split("_")[0], "rope_theta": theta, **SCALINGS[name]}
    return transformers.LlamaConfig(
        hidden_size=64, num_attention_heads=4, num_hidden_layers=1, max_position_embeddings=512, rope_parameters=scaling
    )


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("theta", [10000.0, 500000.0])
def test_frequencies_agree_with_the_library_for_every_scaling(name, theta):
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = _config(name, theta)
    kind = config.rope_parameters["rope_type"]
    rule = ROPE_INIT_FUNCTIONS.get(kind, LlamaRotaryEmbedding.compute_default_rope_parameters)
    for length in (None, 2000):
        expected, factor = rule(config, device="cpu", seq_len=length)
        ours = frequencies(rope_sets(config)[0], length)
        assert ours is not None
        torch.testing.assert_close(ours.inv_freq, expected.double(), rtol=2e-6, atol=1e-12)
        assert ours.factor == pytest.approx(factor, rel=1e-9)


def test_an_unknown_scaling_is_not_guessed():
    config = _config("default")
    config.rope_parameters["rope_type"] = "spiral"
    assert frequencies(rope_sets(config)[0]) is None


def test_old_style_settings_read_the_same():
    class Old:
        hidden_size, num_attention_heads, max_position_embeddings = 64, 4, 512
        rope_theta = 10000.0
        rope_scaling = {"type": "linear", "factor": 4.0}  # noqa: RUF012

    new = frequencies(rope_sets(_config("linear"))[0])
    old = frequencies(rope_sets(Old())[0])
    assert new is not None
    assert old is not None
    torch.testing.assert_close(old.inv_freq, new.inv_freq)


@pytest.mark.parametrize(
    ("name", "tokens"), [("default", 512), ("linear", 2048), ("yarn", 512), ("llama3", 512), ("yarn_mscale", 5120)]
)
def test_the_trained_length_counts_the_stretch(name, tokens):
    assert trained_tokens(_config(name)) == tokens


@given(heads=st.integers(1, 96))
@settings(max_examples=50)
def test_slopes_agree_with_bloom_and_mpt(heads):
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor
    from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

    ours = torch.tensor(alibi_slopes(heads), dtype=torch.float64)
    bloom = build_alibi_tensor(torch.ones(1, 2), heads, torch.float32)[:, 0, 1].double()
    torch.testing.assert_close(ours, bloom, rtol=1e-6, atol=0)
    mpt = -build_mpt_alibi_tensor(heads, 2)[:, 0, 0].double()
    torch.testing.assert_close(ours, mpt, rtol=1e-6, atol=0)
