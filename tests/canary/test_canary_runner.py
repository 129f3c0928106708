"""The canary on real models: healthy is right, each fault is wrong, and the model is left as it was found."""

from __future__ import annotations

import inspect
import itertools

import pytest
import torch
import transformers

from locant.canary.identities import mean_kl
from locant.canary.runner import CanaryRunner
from locant.canary.suite import LABEL_FREE, Identities, Suite
from locant.demo.bed import load_bed, suite_of
from locant.demo.engine import Engine
from locant.demo.faults import Fault
from locant.observation import CanaryFacts
from locant.probe.exclude import is_excluded
from locant.probe.profile import describe

TINY = {"vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
DECODERS = {
    "llama": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            **TINY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
        )
    ),
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**TINY, n_embd=32, n_layer=2, n_head=2, n_positions=64)
    ),
    "bloom": lambda: transformers.BloomForCausalLM(
        transformers.BloomConfig(**TINY, hidden_size=32, n_layer=2, n_head=2)
    ),
    "mistral": lambda: transformers.MistralForCausalLM(
        transformers.MistralConfig(
            **TINY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            sliding_window=16,
            max_position_embeddings=128,
        )
    ),
}
ENCODERS = {
    "bert": lambda: transformers.BertModel(
        transformers.BertConfig(
            **TINY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
        )
    ),
    "roberta": lambda: transformers.RobertaModel(
        transformers.RobertaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=66,
            pad_token_id=1,
        )
    ),
}


def sharpened(model: torch.nn.Module) -> torch.nn.Module:
    """Weights large enough that positions matter, without dropout surprises."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model.eval()


def run(model, suite=LABEL_FREE, **options):
    facts: list = []
    runner = CanaryRunner(model, 7, describe(model), suite, lambda: 1000.0, facts.append, **options)
    return runner.run_once(), facts


@pytest.mark.parametrize("name", [*DECODERS, *ENCODERS])
def test_identities_hold_on_every_family_without_training(name):
    torch.manual_seed(0)
    report, facts = run(sharpened({**DECODERS, **ENCODERS}[name]()))
    assert report.healthy, report.text
    assert {fact.task for fact in facts} >= ({"stream", "padding"} if name in DECODERS else {"padding"})


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_trained_bed_answers_everything_right_and_says_so_in_facts(name):
    bed = load_bed(name)
    report, facts = run(bed.model, suite_of(bed))
    assert report.healthy, report.text
    assert all(isinstance(fact, CanaryFacts) and fact.model_id == 7 and fact.time == 1000.0 for fact in facts)
    assert [fact.last_of_run for fact in facts] == [False] * (len(facts) - 1) + [True]
    assert len({fact.case for fact in facts}) == len(facts)
    beyond = [fact for fact in facts if fact.beyond_trained]
    assert all(fact.twin_right is not None for fact in beyond)
    assert bool(beyond) == (name == "llama"), "a learned table ends where training ended"
    labelled = [fact for fact in facts if fact.task in bed.tasks]
    assert all(fact.loss_nats for fact in labelled)
    assert sum(nats for fact in labelled for _, nats, _ in fact.loss_nats) < 0.05 * len(labelled)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("llama", Fault.MASK_LOST),
        ("llama", Fault.DECODE_SHARED),
        ("llama", Fault.DECODE_AHEAD),
        ("gpt2", Fault.POSITIONS_NOT_RESET),
        ("gpt2", Fault.DECODE_SHARED),
        ("gpt2", Fault.DECODE_AHEAD),
    ],
)
def test_a_fault_of_the_engine_shows_in_answers_that_go_through_it(name, fault):
    bed = load_bed(name)
    engine = Engine(bed.model, bed.vocabulary.pad)
    healthy, _ = run(bed.model, suite_of(bed), answer=engine.complete)
    engine.fault = fault
    faulty, _ = run(bed.model, suite_of(bed), answer=engine.complete)
    assert healthy.healthy, healthy.text
    wrong = [result for result in faulty.results if result.task in bed.tasks and not result.right]
    assert len(wrong) > 0.2 * len([result for result in faulty.results if result.task in bed.tasks])


def test_left_padding_does_not_matter_to_a_rotary_engine_that_counts_from_the_batch():
    bed = load_bed("llama")
    engine = Engine(bed.model, bed.vocabulary.pad)
    engine.fault = Fault.POSITIONS_NOT_RESET
    report, _ = run(bed.model, suite_of(bed), answer=engine.complete)
    assert report.healthy, "a constant shift is harmless under RoPE"


def test_rotary_angles_in_bfloat16_break_the_shift():
    model = sharpened(DECODERS["llama"]())
    rotary = model.model.rotary_emb

    def rounded(x, position_ids):
        angles = (position_ids[..., None].bfloat16() * rotary.inv_freq.bfloat16()).repeat(1, 1, 2)
        return angles.cos().to(x.dtype), angles.sin().to(x.dtype)

    rotary.forward = rounded
    report, _ = run(model)
    wrong = {result.task for result in report.results if not result.right}
    assert wrong == {"shift"}
    assert "rounding explains 1e-06 nats" in report.text


def test_a_cache_that_is_a_token_off_breaks_the_stream():
    model = sharpened(DECODERS["gpt2"]())
    forward = model.forward

    def ahead(*arguments, past_key_values=None, **options):
        if past_key_values is not None and past_key_values.get_seq_length():
            at = past_key_values.get_seq_length() + 1
            options["position_ids"] = torch.arange(at, at + options["input_ids"].shape[1])[None].clamp_max(63)
        return forward(*arguments, past_key_values=past_key_values, **options)

    ahead.__signature__ = inspect.signature(forward)
    model.forward = ahead
    report, _ = run(model)
    assert {result.task for result in report.results if not result.right} == {"stream"}


def test_a_model_that_raises_has_answered_wrong_and_the_canary_goes_on():
    bed = load_bed("llama")

    def broken(prompts, new_tokens):
        raise RuntimeError("no cache block left")

    report, facts = run(bed.model, suite_of(bed), answer=broken)
    assert not report.healthy
    assert "RuntimeError: no cache block left" in report.text
    assert any(fact.right for fact in facts), "identities do not go through the engine"


def test_modes_gradients_randomness_and_weights_are_left_alone():
    bed = load_bed("llama")
    model = bed.model
    model.train()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    run(model, suite_of(bed))
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_every_pass_of_the_canary_is_marked_as_no_traffic():
    bed = load_bed("llama")
    marks: list[bool] = []
    handle = bed.model.register_forward_pre_hook(lambda module, arguments: marks.append(is_excluded()))
    run(bed.model, suite_of(bed))
    handle.remove()
    assert marks
    assert all(marks)
    assert not is_excluded()


def test_batches_mix_lengths_because_padding_never_hurts_the_longest_row():
    bed = load_bed("llama")
    widths: list[set[int]] = []

    def answer(prompts, new_tokens):
        widths.append({len(prompt) for prompt in prompts})
        assert max(map(len, prompts)) + new_tokens <= 36, "nothing decodes past the longest question"
        return [[0] * new_tokens for _ in prompts]

    run(bed.model, suite_of(bed), answer=answer)
    assert sum(len(lengths) > 1 for lengths in widths) >= 8


def test_a_guard_is_held_in_every_batch():
    bed = load_bed("gpt2")
    entered = itertools.count()

    class Guard:
        def __enter__(self):
            next(entered)

        def __exit__(self, *error):
            return None

    run(bed.model, suite_of(bed), guard=Guard)
    assert next(entered) >= 4


def test_dynamic_rotary_tables_are_not_stretched_by_long_questions():
    bed = load_bed("llama")
    bed.model.config.rope_parameters["rope_type"] = "dynamic"
    report, facts = run(bed.model, suite_of(bed))
    assert not any(fact.beyond_trained for fact in facts)
    assert any("rotary table" in reason for reason in report.skipped)


def test_the_limit_of_an_identity_can_be_calibrated():
    strict = Suite(name="strict", identities=Identities(limits={"float32": 1e-30}))
    report, _ = run(sharpened(DECODERS["llama"]()), strict)
    assert not report.healthy


def test_tokens_that_a_model_rules_out_are_no_difference():
    logits = torch.tensor([[[1.0, 2.0, float("-inf")]]])
    assert mean_kl(logits, logits) == 0.0
    assert mean_kl(logits.flip(-1), logits) == float("inf")
