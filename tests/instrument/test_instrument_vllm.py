"""The vLLM plugin against a stand-in for vLLM's loader: only with a socket, once, from outside, never in the way."""

from __future__ import annotations

import sys
import types
from importlib.metadata import entry_points

import pytest

from locant import vllm_plugin
from locant.observation import ForwardFacts, ModelAttached, ProbeHealth

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
LOADER = "vllm.model_executor.model_loader.base_loader"


class Flat(torch.nn.Module):
    """Called as vLLM calls a model: tokens and positions of all requests in one row."""

    def __init__(self):
        super().__init__()
        config = transformers.LlamaConfig(
            vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
        )
        self.config = config
        self.model = transformers.LlamaModel(config).eval()

    def forward(self, input_ids, positions, intermediate_tensors=None, inputs_embeds=None):
        return self.model(input_ids=input_ids[None], position_ids=positions[None], use_cache=False).last_hidden_state


@pytest.fixture
def loader(monkeypatch):
    class BaseModelLoader:
        def load_model(self, vllm_config=None, model_config=None, prefix=""):
            return Flat()

    module = types.ModuleType(LOADER)
    module.BaseModelLoader = BaseModelLoader
    monkeypatch.setitem(sys.modules, LOADER, module)
    return BaseModelLoader


@pytest.fixture
def told(monkeypatch):
    from locant.host import ProbeHost

    seen = []
    agent = types.SimpleNamespace(host=ProbeHost(seen.extend), findings=tuple)
    monkeypatch.setenv("LOCANT_SOCKET", "/run/locant/agent.sock")
    monkeypatch.setattr(vllm_plugin, "_agents", {"/run/locant/agent.sock": agent})
    yield lambda kind: agent.host.flush(5.0) and [one for one in seen if isinstance(one, kind)]
    agent.host.close()


def ask(model):
    """A prompt of five tokens and one of three, in one flat row."""
    with torch.no_grad():
        return model(input_ids=torch.arange(1, 9), positions=torch.tensor([0, 1, 2, 3, 4, 0, 1, 2]))


def test_vllm_finds_it_by_its_entry_point():
    found = [point for point in entry_points(group="vllm.general_plugins") if point.name == "locant"]
    assert not found or found[0].load() is vllm_plugin.register


def test_without_a_socket_vllm_stays_as_it_is(loader, monkeypatch):
    monkeypatch.delenv("LOCANT_SOCKET", raising=False)
    before = loader.load_model
    vllm_plugin.register()
    assert loader.load_model is before


def test_a_loaded_model_is_watched_once_however_often_vllm_registers(loader, told):
    vllm_plugin.register()
    vllm_plugin.register()
    model = loader().load_model(prefix="")
    expected = ask(Flat.forward.__get__(model))
    assert torch.equal(ask(model), expected)
    assert len(told(ModelAttached)) == 1
    assert len(told(ForwardFacts)) == 1


def test_nothing_within_the_model_is_hooked_for_vllm_compiles_it_whole(loader, told):
    vllm_plugin.register()
    model = loader().load_model()
    hooked = [name for name, part in model.named_modules() if part._forward_hooks or part._forward_pre_hooks]
    assert hooked == [""]


def test_what_it_cannot_see_is_not_seen_and_no_error(loader, told):
    vllm_plugin.register()
    ask(loader().load_model())
    [facts] = told(ForwardFacts)
    assert facts.rows == ()
    assert not {"positions", "mask", "cache", "attention"} & set(facts.seen)
    assert all(health.errors == () for health in told(ProbeHealth))


def test_what_goes_wrong_leaves_vllm_its_model(loader, told, monkeypatch, caplog):
    monkeypatch.setattr("locant.watching.attach", lambda *a, **b: 1 / 0)
    vllm_plugin.register()
    assert isinstance(loader().load_model(), Flat)
    assert "goes unwatched" in caplog.text


def test_another_release_of_vllm_is_left_alone_with_a_word(told, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, LOADER, types.ModuleType(LOADER))
    vllm_plugin.register()
    assert "go unwatched" in caplog.text
