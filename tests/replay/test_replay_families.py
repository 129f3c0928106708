"""Families that compute positions in their own way: generate with and without beams, padded either way, no finding."""

from __future__ import annotations

import pytest
import torch
import transformers as hf
from replay_bed import PAD, SHAPE, batch, replaying

_SMALL = {**SHAPE, "intermediate_size": 64, "max_position_embeddings": 512, "pad_token_id": PAD}
_GROUPED = {**_SMALL, "num_key_value_heads": 2}
_D32 = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 97, "pad_token_id": PAD}


def makers():
    yield "mistral window", lambda: hf.MistralForCausalLM(hf.MistralConfig(**_GROUPED, sliding_window=8))
    kinds = ["sliding_attention", "full_attention"]
    mixed = {**_GROUPED, "sliding_window": 8, "head_dim": 8, "layer_types": kinds}
    yield "gemma3 mixed windows", lambda: hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**mixed))
    opt = {**_D32, "ffn_dim": 64, "max_position_embeddings": 512, "word_embed_proj_dim": 32}
    yield "opt learned with offset", lambda: hf.OPTForCausalLM(hf.OPTConfig(**opt))
    yield "falcon alibi", lambda: hf.FalconForCausalLM(hf.FalconConfig(**_D32, alibi=True))
    gptj = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 97, "rotary_dim": 4, "pad_token_id": PAD}
    yield "gptj interleaved", lambda: hf.GPTJForCausalLM(hf.GPTJConfig(**gptj, n_positions=512))
    yield "mixtral experts", lambda: hf.MixtralForCausalLM(hf.MixtralConfig(**_GROUPED, num_local_experts=4))
    yield "roberta offset", lambda: hf.RobertaModel(hf.RobertaConfig(**{**_SMALL, "max_position_embeddings": 514}))
    deberta = {**_SMALL, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
    yield "deberta relative", lambda: hf.DebertaV2Model(hf.DebertaV2Config(**deberta))


def traffic(model, seed: int) -> None:
    """Either side padded, sampled, greedy or with beams, or one plain pass."""
    generates = "For" in type(model).__name__
    ids, mask = batch(3, 12 + seed, "left" if generates and seed % 2 == 0 else "right", seed)
    with torch.no_grad():
        if generates and seed % 2 == 0:
            beams = 2 if seed == 6 else 1
            model.generate(ids, attention_mask=mask, max_new_tokens=6, do_sample=seed == 2, num_beams=beams)
        else:
            model(input_ids=ids, attention_mask=mask)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", [name for name, _ in makers()])
def test_every_family_comes_out_the_same(name, dtype):
    make = dict(makers())[name]
    torch.manual_seed(0)
    model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(10.0)
    with replaying(model.eval().to(dtype)) as hands:
        for seed in range(8):
            traffic(model, seed)
            assert hands.later()
        assert (hands.replay.done["alone"], hands.replay.errors) == (8, 0)
        assert hands.findings() == []
