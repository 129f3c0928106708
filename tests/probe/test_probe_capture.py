"""What the hooks see: effective positions, masks, caches and rotary values of many families, without being told."""

from __future__ import annotations

import copy

import pytest
import torch
from test_probe_profile import Hand, Sinusoids
from tinies import causal, left_padded, tiny, tokens
from torch import nn

from locant.observation import ABSENT

transformers = pytest.importorskip("transformers")


def test_positions_that_nobody_passed_are_seen_at_the_table(watch_model):
    model = causal("gpt2")
    seen = watch_model(model)
    ids, mask = left_padded(6, 2)
    model(input_ids=ids, attention_mask=mask)
    full, short = seen.passes[0].rows
    assert (full.first_offset, full.left_pads, short.first_offset, short.left_pads) == (0, 0, 4, 4)
    assert not seen.passes[0].positions_given
    assert seen.passes[0].masked


@pytest.mark.parametrize(("model_type", "base"), [("opt", 2), ("biogpt", 2), ("gpt_neo", 0), ("xglm", 2)])
def test_tables_that_compute_their_own_indices_are_looked_into(watch_model, model_type, base):
    model = causal(model_type)
    seen = watch_model(model)
    ids, mask = left_padded(6, 3)
    cache = model(input_ids=ids, attention_mask=mask, use_cache=True).past_key_values
    grown = torch.cat([mask, torch.ones(2, 1, dtype=torch.long)], 1)
    model(input_ids=tokens(2, 1), attention_mask=grown, past_key_values=cache)
    first, second = seen.passes
    assert first.rows[0].first_offset == second.rows[0].first_offset == base
    assert (second.phase, second.rows[0].real_before, second.rows[1].real_before) == ("decode", 6, 3)


def test_roberta_numbers_after_the_pad_id(watch_model):
    model = tiny("roberta")
    seen = watch_model(model)
    model(input_ids=torch.tensor([[5, 6, 7, 0, 0]]), attention_mask=torch.tensor([[1, 1, 1, 0, 0]]))
    row = seen.passes[0].rows[0]
    assert (row.first_offset, row.right_pads, seen.probe.profile.base) == (1, 2, 1)
    assert seen.passes[0].phase == "encode"


def test_t5_positions_come_from_its_distance_buckets(watch_model):
    model = tiny("t5", "AutoModelForSeq2SeqLM")
    seen = watch_model(model)
    state = model(input_ids=tokens(2, 5), decoder_input_ids=tokens(2, 3), use_cache=True)
    memory = transformers.modeling_outputs.BaseModelOutput(last_hidden_state=state.encoder_last_hidden_state)
    model(encoder_outputs=memory, decoder_input_ids=tokens(2, 1), past_key_values=state.past_key_values)
    encode, prefill, decode = seen.passes
    assert [facts.phase for facts in seen.passes] == ["encode", "prefill", "decode"]
    assert (encode.rows[0].last_position, prefill.rows[0].last_position) == (4, 2)
    assert (decode.rows[0].first_position, decode.rows[0].cache_tokens, decode.cache_id) == (3, 3, prefill.cache_id)


def test_bart_and_whisper_decoders_are_passes_of_their_own(watch_model):
    model = tiny("bart", "AutoModelForSeq2SeqLM")
    seen = watch_model(model)
    model(input_ids=tokens(1, 5), decoder_input_ids=tokens(1, 3))
    assert [(facts.phase, facts.rows[0].first_offset) for facts in seen.passes] == [("encode", 2), ("prefill", 2)]
    whisper = tiny("whisper", "AutoModelForSpeechSeq2Seq")
    heard = watch_model(whisper)
    whisper(input_features=torch.randn(1, 8, 32), decoder_input_ids=tokens(1, 4))
    assert heard.passes[-1].rows[0].last_position == 3


def test_bloom_positions_and_slopes_come_from_its_bias(watch_model):
    model = causal("bloom")
    seen = watch_model(model)
    ids, mask = left_padded(12, 5)
    cache = model(input_ids=ids, attention_mask=mask, use_cache=True).past_key_values
    model(input_ids=tokens(2, 1), past_key_values=cache, attention_mask=torch.cat([mask, mask[:, -1:]], 1))
    prefill, decode = seen.passes
    assert [row.first_offset for row in (*prefill.rows, *decode.rows)] == [0, 0, 0, 0]
    assert prefill.rotary is not None
    assert (prefill.rotary.slope_error, prefill.rotary.tie_ratio) == (0, 0)


@pytest.mark.parametrize("model_type", ["mpt", "falcon"])
def test_other_alibi_families_have_healthy_slopes(watch_model, model_type):
    model = causal(model_type, **({"alibi": True} if model_type == "falcon" else {}))
    seen = watch_model(model)
    model(input_ids=tokens(2, 40), attention_mask=torch.ones(2, 40, dtype=torch.long))
    rotary = seen.passes[0].rotary
    assert rotary is not None
    assert (rotary.slope_error, rotary.tie_ratio) == (0, 0 if model_type == "mpt" else None)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("table", [nn.Embedding(64, 32), Sinusoids()])
def test_plain_modules_show_tables_and_padding(watch_model, table):
    class Model(Hand):
        def forward(self, src, src_key_padding_mask=None):
            places = torch.arange(src.shape[1])
            x = self.embed(src)
            x = x + table(places) if isinstance(table, nn.Embedding) else table(x)
            return self.encoder(x, src_key_padding_mask=src_key_padding_mask)

    model = Model(table).eval()
    seen = watch_model(model)
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 0, 0]])
    model(ids, src_key_padding_mask=ids == 0)
    model(ids)
    masked, bare = seen.passes
    assert (masked.rows[1].right_pads, masked.rows[1].unmasked_right_pads, masked.rows[1].first_offset) == (2, 0, 0)
    assert (bare.rows[1].unmasked_right_pads, bare.rows[1].last_position) == (2, 1)


def test_a_sequence_first_module_is_turned_upright(watch_model):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.pos_encoder = nn.Embedding(50, 32, padding_idx=0), nn.Embedding(64, 32)
            self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64), 1, enable_nested_tensor=False)

        def forward(self, tokens):
            places = self.pos_encoder(torch.arange(tokens.shape[0]))[:, None]
            return self.encoder(self.embed(tokens) + places, src_key_padding_mask=(tokens == 0).t())

    model = Model().eval()
    seen = watch_model(model)
    model(torch.tensor([[5, 5], [6, 6], [7, 0]]))
    facts = seen.passes[0]
    assert (facts.queries, len(facts.rows), facts.rows[1].right_pads, facts.rows[1].real) == (3, 2, 1, 2)


@pytest.mark.parametrize("model_type", ["llama", "phi", "gpt_neox", "cohere", "gemma3_text", "qwen2", "gpt_oss", "glm"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_healthy_rotary_values_have_no_error_at_any_position(watch_model, model_type, dtype):
    model = causal(model_type)
    model.config._attn_implementation = "eager"
    frequencies = {name: b.clone() for name, b in model.named_buffers() if b.is_floating_point()}
    model = model.to(dtype)
    for name, buffer in model.named_buffers():
        if name in frequencies:
            buffer.data = frequencies[name]
    seen = watch_model(model)
    for start in (0, 3000, 120_000):
        model(input_ids=tokens(2, 9), position_ids=start + torch.arange(9)[None])
    for facts in seen.passes:
        assert facts.rotary is not None
        assert facts.rotary.output_error == 0
        assert facts.rotary.norm_error < 0.01
        assert facts.rotary.tie_ratio == 0
    assert seen.passes[2].rotary.largest_position == 120_008


def test_angles_in_half_precision_are_an_error(watch_model):
    model = causal("llama")
    rotary = model.model.rotary_emb

    def coarse(x, position_ids):
        angle = position_ids[..., None].bfloat16() * rotary.inv_freq.bfloat16()
        wave = torch.cat([angle, angle], -1)
        return wave.cos().to(x.dtype), wave.sin().to(x.dtype)

    rotary.forward = coarse
    seen = watch_model(model)
    model(input_ids=tokens(1, 9), position_ids=3000 + torch.arange(9)[None])
    found = seen.passes[0].rotary
    assert found.output_error > 0.5
    assert found.tie_ratio > 0.5


def test_dynamic_scaling_is_compared_with_the_length_it_has_reached(watch_model):
    model = causal("llama", rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0})
    seen = watch_model(model, rotary_rate=1.0)
    for length in (40, 200, 300, 60):
        model(input_ids=tokens(1, length))
    assert [facts.rotary.output_error for facts in seen.passes] == [0, 0, 0, 0]
    assert len({facts.rotary.parameters_hash for facts in seen.passes}) == 3


def test_longrope_switches_and_says_so_in_every_pass(watch_model):
    scaling = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 16}
    scaling |= {"short_factor": [1.0] * 4, "long_factor": [1.0, 2.0, 8.0, 32.0]}
    model = causal("phi3", rope_parameters=scaling, original_max_position_embeddings=16, sliding_window=None)
    seen = watch_model(model, rotary_rate=0.0)
    for length in (12, 20, 12, 20):
        model(input_ids=tokens(1, length))
    short, long, again, back = (facts.rotary.parameters_hash for facts in seen.passes)
    assert (short, long) == (again, back)
    assert short != long


def test_an_overflow_is_told_although_the_forward_raised(watch_model):
    model = causal("gpt2", n_positions=8)
    seen = watch_model(model)
    with pytest.raises(IndexError):
        model(input_ids=tokens(2, 9))
    [facts] = seen.passes
    assert (facts.error, facts.highest_planned_position, facts.rows[0].max_position) == ("IndexError", 8, 8)
    model(input_ids=tokens(2, 8))
    assert seen.passes[-1].error == ""


def test_an_error_that_the_caller_handles_elsewhere_is_not_the_models(watch_model):
    model = causal("gpt2")
    seen = watch_model(model)
    try:
        raise ValueError("unrelated")
    except ValueError:
        model(input_ids=tokens(1, 4))
    assert seen.passes[0].error == ""


def test_a_cache_keeps_its_number_and_a_copy_knows_its_parent(watch_model):
    model = causal("llama")
    seen = watch_model(model)
    cache = model(input_ids=tokens(1, 4), use_cache=True).past_key_values
    fork = copy.deepcopy(cache)
    model(input_ids=tokens(1, 1), past_key_values=cache)
    model(input_ids=tokens(1, 1), past_key_values=fork)
    cache.crop(-1)
    model(input_ids=tokens(1, 2), past_key_values=cache)
    model(input_ids=tokens(1, 2), use_cache=False)
    first, second, forked, cropped, bare = seen.passes
    assert first.cache_id == second.cache_id == cropped.cache_id > 0
    assert forked.cache_id not in (0, first.cache_id)
    assert (forked.cache_parent, bare.cache_id) == (first.cache_id, 0)
    assert [facts.rows[0].cache_tokens for facts in (second, forked, cropped)] == [4, 4, 4]
    assert second.cache_bytes == 5 * seen.probe.profile.cache_bytes_per_token
    seen.probe.close()
    assert not hasattr(cache, "_locant_cache_id")


@pytest.mark.parametrize("kind", ["static", "sliding", "hybrid"])
def test_static_and_sliding_caches_count_on_beyond_what_they_hold(watch_model, kind):
    sliding = {"sliding_window": 4} if kind != "static" else {}
    model = causal({"static": "llama", "sliding": "mistral", "hybrid": "gemma2"}[kind], **sliding)
    seen = watch_model(model)
    cache = (
        transformers.StaticCache(config=model.config, max_cache_len=32)
        if kind == "static"
        else transformers.DynamicCache(config=model.config)
    )
    for start, count in ((0, 6), (6, 1), (7, 1)):
        model(input_ids=tokens(1, count), position_ids=start + torch.arange(count)[None], past_key_values=cache)
    assert [facts.rows[0].cache_tokens for facts in seen.passes] == [0, 6, 7]
    assert [facts.rows[0].first_offset for facts in seen.passes] == [0, 0, 0]
    assert len({facts.cache_id for facts in seen.passes}) == 1


def test_generate_is_seen_step_by_step_with_padding_and_beams(watch_model):
    model = causal("llama")
    seen = watch_model(model)
    ids, mask = left_padded(6, 3)
    model.generate(ids, attention_mask=mask, max_new_tokens=5, min_new_tokens=5, num_beams=2, do_sample=False)
    facts = seen.passes
    assert [item.phase for item in facts] == ["prefill"] + ["decode"] * 4
    assert all(row.first_offset == 0 for item in facts for row in item.rows)
    assert all(len(item.rows) == 4 and "cache" in item.seen for item in facts)


def test_tables_that_grow_are_measured(watch_model):
    model = causal("llama")
    rotary = model.model.rotary_emb
    rotary.register_buffer("cos_cached", torch.zeros(2, 8), persistent=False)
    honest = type(rotary).forward

    def growing(x, position_ids):
        rotary.cos_cached = torch.zeros(int(position_ids.max()) + 1, 8)
        return honest(rotary, x, position_ids)

    rotary.forward = growing
    seen = watch_model(model)
    for length in (4, 4, 6):
        model(input_ids=tokens(1, length))
    assert [facts.table_growths for facts in seen.passes] == [((2, 4),), (), ((4, 6),)]
    assert seen.passes[-1].positional_bytes == 6 * 8 * 4


def test_declared_segments_and_requests_belong_to_the_next_pass(watch_model):
    model = causal("llama")
    seen = watch_model(model)
    seen.probe.declare(segments=[[3, 2]], request_ids=["ada"])
    model(input_ids=tokens(1, 5))
    model(input_ids=tokens(1, 5))
    declared, plain = seen.passes
    assert (declared.declared, declared.rows[0].boundary_misses) == (True, 1)
    assert (plain.declared, plain.rows[0].boundary_misses) == (False, ABSENT)
    assert len(declared.request_ids[0]) == 16
    assert "ada" not in declared.request_ids


def test_embeddings_odd_masks_and_positional_arguments_are_read(watch_model):
    model = causal("llama")
    seen = watch_model(model)
    model(inputs_embeds=torch.randn(2, 4, 32))
    model(tokens(2, 4), torch.ones(2, 4, dtype=torch.bool))
    model(tokens(2, 4), attention_mask=torch.zeros(2, 1, 4, 4))
    embeds, positional, four = seen.passes
    assert (embeds.rows[0].real, embeds.rows[0].last_position, embeds.rows[0].first_token_hash) == (4, 3, ABSENT)
    assert (positional.mask_rank, positional.masked) == (2, True)
    assert (four.mask_rank, four.masked, "mask" in four.seen) == (4, False, False)


def test_what_was_not_seen_is_not_claimed(watch_model):
    class Unknown(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(64, 8)

        def forward(self, tokens):
            return self.embed(tokens)

    model = Unknown()
    seen = watch_model(model)
    model(tokens(1, 3))
    facts = seen.passes[0]
    assert "positions" not in facts.seen
    assert facts.rows[0].first_offset == ABSENT


@pytest.mark.parametrize("model_type", ["gptj", "codegen"])
def test_rotary_models_without_a_rotary_module_tell_their_layers(watch_model, model_type):
    model = causal(model_type)
    seen = watch_model(model)
    model(input_ids=tokens(1, 5))
    assert seen.passes[0].rows[0].last_position == 4


def test_a_large_mask_is_counted_at_once_and_may_be_overwritten(watch_model, monkeypatch):
    monkeypatch.setattr("locant.probe.gather.LARGE_MASK", 4)
    model = causal("llama")
    seen = watch_model(model)
    ids, mask = left_padded(6, 3)
    cache = model(input_ids=ids, attention_mask=mask, use_cache=True).past_key_values
    mask = torch.cat([mask, torch.ones(2, 1, dtype=torch.long)], 1)
    model(input_ids=tokens(2, 1), attention_mask=mask, past_key_values=cache)
    mask.zero_()
    assert [(row.real, row.real_before, row.left_pads) for row in seen.passes[1].rows] == [(1, 6, 0), (1, 3, 0)]


@pytest.mark.parametrize(
    ("model_type", "sizes", "limits"),
    [
        ("led", {"max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 16}, (0, 64, 16)),
        ("bart", {"max_position_embeddings": 32}, (2, 34, 34)),
        ("whisper", {"max_source_positions": 16, "max_target_positions": 32}, (0, 16, 32)),
        ("marian", {"max_position_embeddings": 48}, (0, 48, 48)),
    ],
)
def test_encoder_and_decoder_have_tables_of_their_own(watch_model, model_type, sizes, limits):
    auto = "AutoModelForSpeechSeq2Seq" if model_type == "whisper" else "AutoModelForSeq2SeqLM"
    profile = watch_model(tiny(model_type, auto, **sizes)).probe.profile
    assert (profile.encoder.base, profile.encoder.table_rows, profile.table_rows) == limits
    assert watch_model(tiny("t5", "AutoModelForSeq2SeqLM")).probe.profile.encoder is None


def test_an_encoder_that_reads_beyond_its_table_says_what_was_planned(watch_model):
    model = tiny("led", "AutoModelForSeq2SeqLM", max_encoder_position_embeddings=64, max_decoder_position_embeddings=16)
    seen = watch_model(model)
    model(input_ids=tokens(1, 40), decoder_input_ids=tokens(1, 4))
    with pytest.raises(IndexError):
        model(input_ids=tokens(1, 70), decoder_input_ids=tokens(1, 4))
    encode, _, failed = seen.passes
    assert (encode.rows[0].max_position, failed.error) == (39, "IndexError")
    assert failed.highest_planned_position >= 64


def test_masks_that_a_model_begins_to_hoard_count_as_positional_memory(watch_model):
    model = causal("llama")
    seen, plain = watch_model(model), model.model.forward

    def hoarding(*args, **kwargs):
        model.model.register_buffer(f"causal_mask_{len(model.model._buffers)}", torch.ones(16, 16), persistent=False)
        return plain(*args, **kwargs)

    model.model.forward = hoarding
    for _ in range(3):
        model(input_ids=tokens(1, 4))
    sizes = [facts.positional_bytes for facts in seen.passes]
    assert (sizes[1] - sizes[0], sizes[2] - sizes[1]) == (1024, 1024)


def test_masks_that_a_module_hoards_in_a_dictionary_count_as_positional_memory(watch_model):
    class Hoarder(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.wpe, self.mask_cache = nn.Embedding(64, 8), nn.Embedding(64, 8), {}

        def forward(self, input_ids):
            self.mask_cache[len(self.mask_cache)] = torch.ones(16, 16)
            return self.embed(input_ids) + self.wpe(torch.arange(input_ids.shape[1]))

    model = Hoarder().eval()
    seen = watch_model(model)
    for _ in range(3):
        model(tokens(1, 4))
    sizes = [facts.positional_bytes for facts in seen.passes]
    assert (sizes[1] - sizes[0], sizes[2] - sizes[1]) == (1024, 1024)
