"""A real model under a real watch, while its agent dies and its process forks: the outputs stay what they were."""

from __future__ import annotations

import os

import pytest

import locant
from locant_slo.catalogue import metrics
from support.agent_process import started
from support.real_servers import eventually

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.server


@pytest.fixture
def model():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    return transformers.LlamaForCausalLM(config).eval()


@pytest.fixture
def watched(model, tmp_path):
    remote = locant.RemoteAgent(str(tmp_path / "agent.sock"))
    watch = locant.watch(model, name="chat", version="v1", agent=remote)
    yield watch
    remote.close()


def logits(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits


def seen(agent):
    return sum(agent.values(metrics.FORWARD_PASSES, outcome="ok", model="chat"))


def test_outputs_are_untouched_while_the_agent_is_killed_and_comes_back(model, tmp_path):
    prompts = [[1, 2, 3 + n] for n in range(30)]
    expected = [logits(model, prompt) for prompt in prompts]
    remote = locant.RemoteAgent(str(tmp_path / "agent.sock"))

    def same():
        return all(torch.equal(logits(model, prompt), right) for prompt, right in zip(prompts, expected, strict=True))

    agent = started(tmp_path)
    locant.watch(model, name="chat", version="v1", agent=remote)
    try:
        assert same()
        eventually(lambda: seen(agent) == len(prompts))
        agent.kill()
        assert same()
        assert remote.host.flush(5.0)
        again = started(tmp_path)
        eventually(lambda: same() and seen(again) > 0)
        eventually(lambda: (again.value(metrics.OBSERVATIONS_DROPPED, reason="disconnected") or 0) >= len(prompts) - 1)
        again.kill()
    finally:
        remote.close()
        agent.kill()


def test_children_forked_under_load_report_for_themselves(model, watched, tmp_path):
    agent = started(tmp_path)
    try:
        eventually(lambda: watched.agent.connected)
        for _ in range(8):
            logits(model, [1, 2, 3])
            child = os.fork()
            if child == 0:
                for n in range(5):
                    logits(model, [1, 2, n])
                flushed = watched.flush(10.0)
                connected = watched.agent.connected
                os._exit(0 if flushed and connected else 1)
            assert os.waitpid(child, 0)[1] == 0
        eventually(lambda: seen(agent) == 8 + 8 * 5)
    finally:
        agent.kill()
