"""Automatic watching in this process: each model once, none twice, and the program never notices."""

from __future__ import annotations

import copy
import pickle
import types
from pathlib import Path

import pytest

import locant
from locant import instrument
from locant.importing import after_import
from locant.observation import ForwardFacts, ModelAttached

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


class Collected:
    """An agent that keeps what it is told."""

    def __init__(self):
        from locant.host import ProbeHost

        self.told = []
        self.host = ProbeHost(self.told.extend)

    def close(self):
        self.host.close()

    def of(self, kind):
        self.host.flush(5.0)
        return [one for one in self.told if isinstance(one, kind)]


@pytest.fixture
def agent(monkeypatch):
    collected = Collected()
    monkeypatch.setattr(instrument, "_agent", lambda: collected)
    torch.set_num_threads(1)
    instrument.instrument_transformers()
    yield collected
    instrument.uninstrument_transformers()
    collected.close()


def llama():
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    return transformers.LlamaForCausalLM(config).eval()


def ask(model, times=3):
    with torch.no_grad():
        for _ in range(times):
            model(torch.tensor([[1, 2, 3]]))


def test_a_model_built_from_a_configuration_is_watched_from_its_first_forward(agent):
    model = llama()
    assert agent.of(ModelAttached) == []
    ask(model, 3)
    assert len(agent.of(ModelAttached)) == 1
    assert len(agent.of(ForwardFacts)) in (2, 3)


def test_a_model_loaded_from_a_folder_is_watched_at_once_and_its_parts_are_not(agent, tmp_path):
    llama().save_pretrained(tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert len(agent.of(ModelAttached)) == 1
    ask(model, 3)
    assert len(agent.of(ModelAttached)) == 1
    assert len(agent.of(ForwardFacts)) == 3


def test_a_model_watched_by_hand_is_not_counted_twice(agent, tmp_path):
    llama().save_pretrained(tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    with locant.watch(model, name="mine", version="v1") as watch:
        ask(model, 2)
        watch.flush()
        assert agent.of(ForwardFacts) == []


def test_a_copied_model_is_watched_and_a_pickled_one_knows_nothing_of_us(agent):
    model = llama()
    pickled = pickle.dumps(model)
    other = copy.deepcopy(model)
    for one in (model, other, pickle.loads(pickled)):
        ask(one)
        assert not instrument.waits(one)
    assert b"locant" not in pickled
    assert len(agent.of(ModelAttached)) == 2


def test_what_goes_wrong_while_attaching_leaves_the_model_working(agent, monkeypatch, caplog):
    monkeypatch.setattr("locant.watching.attach", lambda *a, **b: 1 / 0)
    model = llama()
    ask(model)
    assert "goes unwatched" in caplog.text


def test_taken_off_nothing_is_left(agent):
    model = llama()
    ask(model)
    instrument.uninstrument_transformers()
    base = transformers.PreTrainedModel
    theirs = Path(transformers.__file__).parent
    assert Path(base.from_pretrained.__func__.__code__.co_filename).is_relative_to(theirs)
    assert Path(base.post_init.__code__.co_filename).is_relative_to(theirs)
    assert not [module for module in model.modules() if module._forward_pre_hooks or module._forward_hooks]


def test_the_opentelemetry_instrumentor_does_the_same(agent):
    instrument.uninstrument_transformers()
    instrumentor = instrument.LocantInstrumentor()
    instrumentor.instrument(skip_dep_check=True)
    ask(llama())
    assert len(agent.of(ModelAttached)) == 1
    instrumentor.uninstrument()


def test_after_import_calls_now_or_later_and_leaves_no_finder_behind(tmp_path, monkeypatch):
    import sys

    (tmp_path / "locant_test_late.py").write_text("value = 1")
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[types.ModuleType] = []
    after_import("locant_test_late", seen.append)
    finders = len(sys.meta_path)
    assert seen == []
    import locant_test_late

    assert seen == [locant_test_late]
    assert len(sys.meta_path) == finders - 1
    assert type(locant_test_late.__loader__).__module__ != "locant.importing"
    after_import("locant_test_late", seen.append)
    assert len(seen) == 2
