"""What leaves the model's process: shapes, positions and counts; of the text, one keyed hash per row and no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from locant.host import ProbeHost
from locant.observation import ForwardFacts, RowFacts
from locant.wire.codec import encode

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
SIZE = 100


@pytest.fixture
def model():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=SIZE,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=0,
    )
    return transformers.LlamaForCausalLM(config).eval()


def told(model, prompt, request_id="secret-customer-7"):
    """Everything that one watched forward of this prompt hands on."""
    from locant.probe.probe import ProbeOptions

    observations = []
    host = ProbeHost(observations.extend)
    options = ProbeOptions(attention_rate=0.0, rotary_rate=0.0)
    probe = host.attach(model, name="m", version="v", options=options)
    probe.declare(request_ids=[request_id])
    with torch.no_grad():
        model(torch.tensor([prompt]))
    host.flush(5.0)
    host.close()
    return observations


def passes(observations):
    return [one for one in observations if isinstance(one, ForwardFacts)]


def without_hash(facts: ForwardFacts) -> tuple[RowFacts, ...]:
    return tuple(row._replace(first_token_hash=0) for row in facts.rows)


def test_two_prompts_of_one_shape_differ_in_the_hash_alone(model):
    [one], [other] = passes(told(model, [5, 17, 31, 64])), passes(told(model, [9, 2, 88, 41]))
    assert without_hash(one) == without_hash(other)
    assert one.rows != other.rows
    kept = {"time": 0.0, "duration_seconds": 0.0, "rows": (), "request_ids": (), "rotary": None, "pass_number": 0}
    assert replace(one, **kept) == replace(other, **kept)


def test_the_hash_is_keyed_anew_for_every_watch_so_that_it_cannot_be_looked_up(model):
    [one], [other] = passes(told(model, [5, 17, 31, 64])), passes(told(model, [5, 17, 31, 64]))
    assert one.rows[0].first_token_hash != other.rows[0].first_token_hash


def test_a_request_id_leaves_as_a_hash(model):
    observations = told(model, [5, 17, 31])
    assert passes(observations)[0].request_ids
    assert b"secret" not in encode(observations)
