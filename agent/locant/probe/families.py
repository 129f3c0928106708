"""What is known of model families, as data: one line per family, no code.

Keyed by transformers' `model_type`. A family that is not here is described by what its modules and its configuration
show; what they do not show stays unknown. To add a family, add a line: `tests/probe/test_probe_profile.py` checks every
one against the installed transformers.
"""

from __future__ import annotations

from dataclasses import dataclass

LEARNED, SINUSOIDAL, ROPE, MROPE, ALIBI = "learned", "sinusoidal", "rope", "mrope", "alibi"
RELATIVE, PATCHES, NONE, UNKNOWN = "relative_bias", "patches_2d", "none", "unknown"
ABSOLUTE_SCHEMES = frozenset({LEARNED, SINUSOIDAL})

DECODER, ENCODER, ENCODER_DECODER = "decoder", "encoder", "encoder_decoder"


@dataclass(frozen=True, slots=True)
class Family:
    """One family. `base`: table index of the first real token. `base_after_pad`: that index is the pad id + 1."""

    scheme: str
    kind: str = DECODER
    base: int = 0
    base_after_pad: bool = False


def _many(names: str, family: Family) -> dict[str, Family]:
    return dict.fromkeys(names.split(), family)


FAMILIES: dict[str, Family] = {
    **_many("gpt2 gpt_neo gpt_bigcode openai-gpt imagegpt decision_transformer git", Family(LEARNED)),
    **_many("opt biogpt", Family(LEARNED, base=2)),
    **_many("ctrl", Family(SINUSOIDAL)),
    **_many("xglm", Family(SINUSOIDAL, base=2)),
    **_many("musicgen_decoder", Family(SINUSOIDAL)),
    **_many("trocr", Family(LEARNED, base=2)),
    **_many(
        "bert distilbert albert electra rembert ernie mobilebert squeezebert megatron-bert layoutlm convbert big_bird "
        "visual_bert lxmert bert-generation roc_bert splinter canine flaubert xlm clip_text_model siglip_text_model",
        Family(LEARNED, ENCODER),
    ),
    **_many("mra nystromformer yoso", Family(LEARNED, ENCODER, base=2)),
    **_many(
        "roberta xlm-roberta camembert data2vec-text longformer xmod ibert luke mpnet roberta-prelayernorm "
        "xlm-roberta-xl lilt layoutlmv3 markuplm",
        Family(LEARNED, ENCODER, base_after_pad=True),
    ),
    **_many("bart mbart plbart mvp", Family(LEARNED, ENCODER_DECODER, base=2)),
    **_many("led blenderbot blenderbot-small bigbird_pegasus whisper", Family(LEARNED, ENCODER_DECODER)),
    **_many("prophetnet", Family(LEARNED, ENCODER_DECODER, base_after_pad=True)),
    **_many("marian pegasus pegasus_x", Family(SINUSOIDAL, ENCODER_DECODER)),
    **_many("m2m_100 nllb-moe fsmt speech_to_text", Family(SINUSOIDAL, ENCODER_DECODER, base_after_pad=True)),
    **_many("t5 mt5 umt5 longt5 switch_transformers udop pop2piano", Family(RELATIVE, ENCODER_DECODER)),
    **_many("deberta deberta-v2 funnel", Family(RELATIVE, ENCODER)),
    **_many("xlnet", Family(RELATIVE, ENCODER)),
    **_many("bloom mpt", Family(ALIBI)),
    **_many(
        "llama mistral mixtral ministral gemma gemma2 gemma3_text gemma3n_text qwen2 qwen2_moe qwen3 qwen3_moe phi "
        "phi3 phimoe gpt_neox gptj codegen starcoder2 stablelm olmo olmo2 cohere cohere2 granite nemotron persimmon "
        "glm glm4 smollm3 deepseek_v2 deepseek_v3 gpt_oss llama4_text helium falcon arcee exaone4 ernie4_5 apertus",
        Family(ROPE),
    ),
    **_many("roformer modernbert nomic_bert eurobert", Family(ROPE, ENCODER)),
    **_many("qwen2_vl qwen2_5_vl qwen2_vl_text qwen2_5_vl_text qwen3_vl qwen3_vl_text glm4v", Family(MROPE)),
    **_many(
        "vit deit beit dinov2 clip_vision_model siglip_vision_model vit_mae vivit",
        Family(PATCHES, ENCODER),
    ),
    **_many("mamba mamba2 falcon_mamba rwkv xlstm", Family(NONE)),
}

LENGTH_KEYS = (
    "max_target_positions",
    "max_decoder_position_embeddings",
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "max_sequence_length",
    "max_seq_length",
)
"""Where configurations keep the longest length, the decoder's own first."""

SIDE_TOWERS = frozenset(
    {
        *("visual", "vision_tower", "vision_model", "vision_embed_tokens", "vision_encoder", "image_encoder"),
        *("audio_tower", "audio_model", "audio_encoder", "speech_encoder", "multi_modal_projector", "perceiver"),
        *("resampler", "qformer", "vq_model", "vqmodel"),
    }
)
"""Submodule names under which a multimodal model keeps what does not see text positions."""

TABLE_NAME = (
    r"^(wpe|embed_positions|positions_embed|position_embeddings?|pos_embeddings?|position_embed|pos_embeds?|pos_emb"
    r"|positional_(embedding|encoding|encoder)s?|pos_(enc|encoder|encoding)|position_(encoding|encoder)|pos)$"
)
"""What modules that hold one row per position are called, last part of the dotted name, lower case."""

BARE_TABLE_NAME = (
    r"(^|_)(wpe|pos_?(emb|embd|embed|embeds|embedding|embeddings|enc|encoding|encodings|table|weight)?"
    r"|position(s|al)?(_?(emb|embed|embeds|embedding|embeddings|encoding|encodings|table|weight))?)$"
)
"""How the name of a parameter or a buffer ends that holds one row per position, lower case."""

NO_TABLE_NAME = r"(^|_)rel(ative)?(_|$)|bias"
"""What in such a name says that its rows are distances, or that it is added to attention scores."""

LOOKING_BACK = frozenset({"clip_text_model"})
"""Families without a cache that are called encoders and yet see no later token."""

COARSE_ALIBI = frozenset({"falcon"})
"""ALiBi families whose own code multiplies slope and key index in bfloat16: their weights were trained on the ties."""

COUNTING_ALIBI = frozenset({"bloom"})
"""ALiBi families whose bias is slope times key index in full precision, so that it tells the positions in use."""

BUCKETED = frozenset({"t5", "mt5", "umt5", "switch_transformers"})
"""Families whose distance buckets follow T5's rule in plain [query, key] form."""

BIAS_NAME = "relative_attention_bias"
"""What the embedding of distance buckets is called in T5 and its descendants."""

POSITIONAL_KEYS = (
    *("position", "rope", "rotary", "alibi", "relative", "type_vocab", "pad_token_id", "window", "layer_types"),
    *(
        "head_dim",
        "hidden_size",
        "n_embd",
        "d_model",
        "num_attention_heads",
        "n_head",
        "num_heads",
        "num_key_value_heads",
    ),
    *("n_ctx", "max_seq", "vocab_size", "num_hidden_layers", "n_layer", "is_decoder", "causal", "model_type"),
    "attn_config",
)
"""Parts of configuration keys that enter the configuration's checksum."""
