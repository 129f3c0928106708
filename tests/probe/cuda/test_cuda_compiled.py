"""A compiled model on a GPU, its CUDA graphs included, keeps its bits in the passes that are looked at."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from locant.observation import AttentionFacts
from locant.probe.probe import ProbeOptions
from probe.cuda.test_cuda_device import needs_gpu, watched
from probe.tinies import causal, left_padded


@needs_gpu
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_armed_passes_beside_replayed_ones_give_the_same_bits(mode: str, dtype: torch.dtype) -> None:
    torch._dynamo.reset()
    model = causal("llama", attn="sdpa").to("cuda", dtype)
    ids, mask = (tensor.cuda() for tensor in left_padded(14, 6))
    options = ProbeOptions(attention_rate=0.3, attention_compiled=True, overhead_budget=None, strict=True)
    with torch.no_grad(), watched(model, options) as (probe, channel):
        compiled: Any = torch.compile(model, mode=mode, fullgraph=True)
        outputs = []
        for _ in range(24):
            torch.compiler.cudagraph_mark_step_begin()
            outputs.append(compiled(input_ids=ids, attention_mask=mask, use_cache=False).logits.clone())
        assert probe.flush(5.0)
        looked_at = {item.pass_number for item in channel.drain(10_000) if isinstance(item, AttentionFacts)}
    assert 2 < len(looked_at) < 20
    assert all(torch.equal(outputs[0], output) for output in outputs)
    torch._dynamo.reset()
