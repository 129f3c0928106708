"""Real, tiny transformers through probe and judge: legal traffic of many families is left alone, faults are not."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
tf = pytest.importorskip("transformers")

import locant  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

WORDS, PAD = 64, 0
SPECIAL = {"pad_token_id": PAD, "bos_token_id": 1, "eos_token_id": 2}
WIDE = {"vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4} | SPECIAL
GPT = {"vocab_size": WORDS, "n_embd": 32, "n_layer": 2, "n_head": 4} | SPECIAL
LONG = WIDE | {"intermediate_size": 64, "max_position_embeddings": 128}
BOTH = {
    "vocab_size": WORDS,
    "d_model": 32,
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 64),
    "max_position_embeddings": 64,
    "forced_eos_token_id": None,
} | SPECIAL

DECODERS = {
    "gpt2": lambda: tf.GPT2LMHeadModel(tf.GPT2Config(**GPT, n_positions=128)),
    "opt": lambda: tf.OPTForCausalLM(
        tf.OPTConfig(**WIDE, ffn_dim=64, word_embed_proj_dim=32, max_position_embeddings=128)
    ),
    "bloom": lambda: tf.BloomForCausalLM(
        tf.BloomConfig(vocab_size=WORDS, hidden_size=32, n_layer=2, n_head=4, **SPECIAL)
    ),
    "falcon-alibi": lambda: tf.FalconForCausalLM(tf.FalconConfig(**WIDE, alibi=True)),
    "llama": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**LONG)),
    "mistral": lambda: tf.MistralForCausalLM(tf.MistralConfig(**LONG, num_key_value_heads=2, sliding_window=8)),
    "gemma3": lambda: tf.Gemma3ForCausalLM(
        tf.Gemma3TextConfig(**(LONG | {"num_hidden_layers": 6}), num_key_value_heads=2, head_dim=8, sliding_window=8)
    ),
    "gpt-neox": lambda: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**LONG)),
}
PAIRS = {
    "t5": lambda: tf.T5ForConditionalGeneration(
        tf.T5Config(
            vocab_size=WORDS,
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            pad_token_id=PAD,
            decoder_start_token_id=PAD,
        )
    ),
    "bart": lambda: tf.BartForConditionalGeneration(tf.BartConfig(**BOTH, decoder_start_token_id=2)),
    "marian": lambda: tf.MarianMTModel(tf.MarianConfig(**BOTH, decoder_start_token_id=PAD)),
}
ENCODERS = {
    "bert": lambda: tf.BertForMaskedLM(tf.BertConfig(**LONG)),
    "roberta": lambda: tf.RobertaForMaskedLM(tf.RobertaConfig(**LONG, type_vocab_size=1)),
    "esm": lambda: tf.EsmForMaskedLM(tf.EsmConfig(**LONG, mask_token_id=3, position_embedding_type="rotary")),
}
COUNTS_PADDING = {"gpt2"}
"""OPT numbers by the mask on its own."""


def ready(make):
    torch.manual_seed(0)
    model = make().eval().requires_grad_(False)
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.pad_token_id, model.generation_config.eos_token_id = PAD, None
    return model


def batch(side: str):
    generator = torch.Generator().manual_seed(1)
    lengths, width = (14, 5, 9), 14
    ids, mask = torch.full((3, width), PAD), torch.zeros(3, width, dtype=torch.long)
    for i, length in enumerate(lengths):
        columns = slice(width - length, width) if side == "left" else slice(0, length)
        ids[i, columns] = torch.randint(4, WORDS, (length,), generator=generator)
        mask[i, columns] = 1
    return ids, mask


def alerts(model, traffic) -> set[str]:
    with locant.watch(model) as watch, torch.no_grad():
        traffic()
        assert watch.flush(30)
        found = watch.findings()
    return {finding.check for finding in found if finding.severity.value != "info"}


def positions(mask):
    return (mask.cumsum(-1) - 1).clamp_min(0)


@pytest.mark.parametrize("family", DECODERS)
class TestDecoders:
    def test_generation_of_every_kind_is_left_alone(self, family):
        model = ready(DECODERS[family])
        (ids, mask), (right, kept) = batch("left"), batch("right")
        fixed = {"do_sample": False, "max_new_tokens": 5, "min_new_tokens": 5}

        def traffic():
            model.generate(ids, attention_mask=mask, **fixed)
            model.generate(ids, attention_mask=mask, num_beams=3, **fixed)
            model.generate(ids, attention_mask=mask, do_sample=True, num_return_sequences=2, max_new_tokens=4)
            model.generate(ids[:1].repeat(1, 2), prompt_lookup_num_tokens=3, **fixed)
            model(input_ids=right, attention_mask=kept)
            model(input_ids=right)
            model(input_ids=torch.zeros(2, 8, dtype=torch.long))

        assert not alerts(model, traffic)

    def test_a_mask_of_ones_is_reported(self, family):
        model, (ids, mask) = ready(DECODERS[family]), batch("left")
        found = alerts(model, lambda: model(input_ids=ids, attention_mask=torch.ones_like(mask)))
        assert "pads_unmasked" in found

    def test_left_padding_without_positions_is_an_outage_where_positions_are_absolute_and_count_it(self, family):
        model, (ids, mask) = ready(DECODERS[family]), batch("left")
        assert alerts(model, lambda: model(input_ids=ids, attention_mask=mask)) == (
            {"absolute_base"} if family in COUNTS_PADDING else set()
        )

    def test_a_mask_that_is_lost_after_the_prompt_is_reported(self, family):
        model, (ids, mask) = ready(DECODERS[family]), batch("left")

        def traffic():
            cache = model(input_ids=ids, attention_mask=mask, use_cache=True).past_key_values
            model(input_ids=ids[:, -1:], past_key_values=cache, use_cache=True)

        assert "mask_dropped" in alerts(model, traffic)

    def test_decoding_one_position_too_far_is_reported_where_positions_count(self, family):
        model, (ids, _) = ready(DECODERS[family]), batch("left")
        count = positions(torch.ones(1, 15, dtype=torch.long))

        def traffic():
            prompt = model(input_ids=ids[:1], position_ids=count[:, :14], use_cache=True)
            model(input_ids=ids[:1, :1], position_ids=count[:, 14:] + 1, past_key_values=prompt.past_key_values)

        if family in ("bloom", "falcon-alibi"):
            assert not alerts(model, traffic)
        else:
            assert alerts(model, traffic) & {"offset_changed", "absolute_base"}


@pytest.mark.parametrize("family", PAIRS)
def test_encoder_decoders(family):
    model, (ids, mask) = ready(PAIRS[family]), batch("right")
    start = torch.full((3, 1), model.config.decoder_start_token_id)
    prompt = torch.cat([start, ids[:, :4].clamp_min(4)], 1)

    def healthy():
        model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=6, min_new_tokens=6)
        model.generate(ids, attention_mask=mask, num_beams=3, max_new_tokens=6)
        model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100))

    def stale():
        cache = model(input_ids=ids, attention_mask=mask, decoder_input_ids=prompt, use_cache=True).past_key_values
        model(input_ids=ids, attention_mask=mask, decoder_input_ids=prompt, past_key_values=cache, use_cache=True)

    assert not alerts(model, healthy)
    assert alerts(model, stale) == {"cache_not_reset"}
    assert alerts(model, lambda: model(input_ids=ids, decoder_input_ids=prompt)) >= {"pads_unmasked"}


@pytest.mark.parametrize("family", ENCODERS)
def test_encoders(family):
    model, (ids, mask) = ready(ENCODERS[family]), batch("right")
    assert not alerts(model, lambda: model(input_ids=ids, attention_mask=mask))
    assert not alerts(model, lambda: model(input_ids=ids[:1]))
    assert "pads_unmasked" in alerts(model, lambda: model(input_ids=ids))
