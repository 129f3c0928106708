"""The beds can do what is claimed of them, and the engine's faults do the harm that is claimed of those."""

from __future__ import annotations

import pytest
import torch

from locant.demo.bed import FOLDER, load_bed, suite_of
from locant.demo.engine import Engine
from locant.demo.faults import DRILLS, Fault
from locant.demo.measure import accuracy
from locant.demo.recipes import RECIPES
from locant.demo.train import train
from locant_slo.errors import ModelError


@pytest.fixture(params=list(RECIPES))
def bed(request):
    return load_bed(request.param)


def lengths(bed) -> list[int]:
    return [10, 12, 14, 16, 18, 20, 22, bed.trained_tokens]


def test_a_bed_is_small_and_its_file_too(bed):
    assert sum(parameter.numel() for parameter in bed.model.parameters()) <= 250_000
    assert (FOLDER / f"{bed.name}.safetensors").stat().st_size <= 1_000_000
    assert not bed.model.training


def test_every_task_is_answered_inside_the_trained_length_in_mixed_batches(bed):
    engine = Engine(bed.model, bed.vocabulary.pad)
    assert all(accuracy(bed, engine, task, lengths(bed)) >= 0.99 for task in bed.tasks)


def test_a_rotary_bed_extrapolates_by_content_and_not_by_position():
    bed = load_bed("llama")
    engine = Engine(bed.model, bed.vocabulary.pad)
    assert accuracy(bed, engine, "passkey", [36]) >= 0.95
    assert accuracy(bed, engine, "order", [36]) >= 0.95
    assert accuracy(bed, engine, "copy", [40]) <= 0.05


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.bed)
def test_each_drill_of_the_demo_ruins_answers(drill):
    bed = load_bed(drill.bed)
    engine = Engine(bed.model, bed.vocabulary.pad)
    engine.fault = drill.fault
    assert accuracy(bed, engine, "reverse", lengths(bed)) <= 0.4


def test_decoding_one_position_ahead_ruins_everything(bed):
    engine = Engine(bed.model, bed.vocabulary.pad)
    engine.fault = Fault.DECODE_AHEAD
    assert all(accuracy(bed, engine, task, lengths(bed)) <= 0.05 for task in bed.tasks)


def test_a_fault_never_strikes_in_the_middle_of_a_batch():
    bed = load_bed("llama")
    engine = Engine(bed.model, bed.vocabulary.pad)
    seen: list[bool] = []

    def strike(module, arguments, options):
        seen.append("attention_mask" in options)
        engine.fault = Fault.MASK_LOST

    bed.model.register_forward_pre_hook(strike, with_kwargs=True)
    prompts = [[1, 5, 9, 10, 3], [1, 5, 9, 10, 11, 3]]
    engine.complete(prompts, 3)
    engine.complete(prompts, 1)
    assert seen == [True, True, True, False]


def test_a_bed_of_another_name_is_refused():
    with pytest.raises(ModelError, match="choose from llama, gpt2"):
        load_bed("opt")


def test_the_suite_of_a_bed_asks_enough_for_the_gate(bed):
    asked = sum(
        len(group.tasks) * len(group.lengths) * group.samples * group.rounds for group in suite_of(bed).questions
    )
    assert asked >= 90


def test_training_is_reproducible(bed):
    from dataclasses import replace

    recipe = replace(RECIPES[bed.name], steps=3)
    first, second = train(recipe), train(recipe)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
