"""A model in every dress it is served in: no wrong finding, the same answers."""

from __future__ import annotations

import copy
import functools

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from checks_models import alerts, batch, counted, ready  # noqa: E402
from torch import nn  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

FAMILIES = ("gpt_neo", "qwen3", "gemma3_text")
FIXED = {"do_sample": False, "max_new_tokens": 5}


def made(kind: str):
    return ready(kind, num_hidden_layers=6) if kind == "gemma3_text" else ready(kind)


def score(model, ids, mask):
    return model(input_ids=ids, attention_mask=mask, position_ids=counted(mask)).logits


def same_answers(model, *answers):
    """Every answer under watch equals the one without, and nothing is reported."""
    with torch.no_grad():
        bare = [answer() for answer in answers]
    found = []
    reported = alerts(model, *(lambda answer=answer: found.append(answer()) for answer in answers))
    assert all(torch.equal(one, other) for one, other in zip(bare, found, strict=True))
    return reported


class Adapted(nn.Module):
    """An adapter around a model, as PEFT wraps it."""

    def __init__(self, base):
        super().__init__()
        self.base_model, self.peft_config, self.config = base, {"default": None}, base.config

    def get_base_model(self):
        return self.base_model

    def forward(self, *args, **kwargs):
        return self.base_model(*args, **kwargs)


def replaced_forward(model):
    """What accelerate's hooks do: the forward on the instance is another function."""
    plain = model.forward
    model.forward = functools.wraps(plain)(lambda *args, **kwargs: plain(*args, **kwargs))
    return model


DRESSES = {
    "bfloat16": lambda model: model.to(torch.bfloat16) if model.config.model_type == "gpt_neo" else model,
    "parallel": nn.DataParallel,
    "adapted": Adapted,
    "replaced forward": replaced_forward,
    "copied": copy.deepcopy,
    "int8": lambda model: torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8),
}


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("dress", DRESSES)
def test_in_every_dress(kind, dress):
    model, (ids, mask) = DRESSES[dress](made(kind)), batch("left", 12, 5, 9)
    assert not same_answers(model, lambda: score(model, ids, mask), lambda: score(model, ids[:1], mask[:1]))


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_with_every_cache(kind, cache):
    model, (ids, mask) = made(kind), batch("left", 12, 5, 9)

    def generate(**more):
        return model.generate(ids, attention_mask=mask, cache_implementation=cache, **FIXED, **more)

    assert not same_answers(model, generate, lambda: generate(num_beams=2))


@pytest.mark.parametrize("kind", FAMILIES)
def test_in_training_with_labels_under_autocast(kind):
    model, (ids, mask) = made(kind).train(), batch("right", 12, 5, 9)

    def learn():
        with torch.autocast("cpu", torch.bfloat16):
            return model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss

    assert not alerts(model, learn)


def test_inside_of_a_larger_model():
    inner, (ids, mask) = made("qwen3"), batch("left", 12, 5, 9)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.language, self.head = inner, nn.Linear(32, 2)

        def forward(self, input_ids, attention_mask):
            hidden = self.language.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return self.head(hidden[:, -1])

    outer = Outer()
    assert not same_answers(outer, lambda: outer(ids, mask))


class Around(nn.Module):
    """An adapter of one's own: no configuration, or the model's; arguments by name, or handed on as they come."""

    def __init__(self, base, *, told):
        super().__init__()
        self.base, self.low_rank = base, nn.Linear(2, 2)
        if told:
            self.config = base.config

    def forward(self, *args, **kwargs):
        return self.base(*args, **kwargs)


class Named(Around):
    def forward(self, input_ids, attention_mask=None, **more):
        return self.base(input_ids=input_ids, attention_mask=attention_mask, **more)


@pytest.mark.parametrize("told", [True, False], ids=["configured", "bare"])
@pytest.mark.parametrize("kind", [Around, Named])
def test_inside_of_an_adapter_of_ones_own(kind, told):
    model, (ids, mask) = kind(made("gpt_neo"), told=told), batch("left", 12, 5, 9)
    assert not alerts(model, lambda: model(ids, attention_mask=mask, position_ids=counted(mask)))
    assert alerts(model, lambda: model(ids, attention_mask=mask)) == {"absolute_base"}
    assert alerts(model, lambda: model(ids, position_ids=counted(mask))) == {"pads_unmasked", "pads_attended"}
