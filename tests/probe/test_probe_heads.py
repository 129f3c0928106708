"""Choosing heads: only theirs is reported, under their own numbers."""

from __future__ import annotations

import pytest
import torch
import transformers

import locant
from locant.probe.options import ProbeOptions
from locant.sidecar.config import AgentConfig
from locant_slo.catalogue import metrics


def reported(heads):
    """Heads that the debug tier shows for a model of four heads, by metric."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
    )
    model = transformers.LlamaForCausalLM(config).eval()
    agent = locant.EmbeddedAgent(AgentConfig(debug_metrics=True))
    with torch.no_grad():
        watch = locant.watch(model, agent=agent, options=ProbeOptions(attention_heads=heads), strict=True)
        model(torch.arange(4, 36)[None])
    watch.flush()
    found = {family.metric.name: family.samples for family in watch.snapshot().families}
    agent.close()
    place = {m.name: m.label_names.index("head") for m in (metrics.HEAD_ENTROPY, metrics.HEAD_HEAT)}
    return {name: {sample.labels[at] for sample in found.get(name, ())} for name, at in place.items()}


@pytest.mark.parametrize(("heads", "expected"), [(None, {"0", "1", "2", "3"}), ((1, 3), {"1", "3"}), ((2, 9), {"2"})])
def test_only_the_chosen_heads_are_reported_under_their_own_numbers(heads, expected):
    found = reported(heads)
    assert found[metrics.HEAD_ENTROPY.name] == expected
    assert len(found[metrics.HEAD_HEAT.name]) == 1
    assert found[metrics.HEAD_HEAT.name] <= expected
