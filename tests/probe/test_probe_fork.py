"""A server that loads its model and then forks its workers: each worker introduces the model itself."""

from __future__ import annotations

import os

import pytest

from locant.host import ProbeHost
from locant.observation import ForwardFacts, ModelAttached

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_worker_forked_before_the_introduction_was_sent_makes_it():
    from locant.probe.options import ProbeOptions

    torch.set_num_threads(1)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    model = transformers.LlamaForCausalLM(config).eval()
    told = []
    host = ProbeHost(told.extend)
    host.attach(model, name="chat", version="r1", options=ProbeOptions())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover, another process
        told.clear()
        with torch.no_grad():
            model(torch.tensor([[1, 2, 3]]))
        host.flush(20.0)
        kinds = [type(one) for one in told]
        in_order = ModelAttached in kinds and ForwardFacts in kinds[kinds.index(ModelAttached) :]
        os.write(writing, b"introduced" if in_order else repr(kinds).encode())
        os._exit(0)
    os.close(writing)
    answer = os.read(reading, 4096)
    os.close(reading)
    os.waitpid(child, 0)
    host.close()
    assert answer == b"introduced"
