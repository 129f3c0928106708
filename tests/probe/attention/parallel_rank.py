"""One rank of a tensor-parallel group of two, on CPU by gloo: a model, bare and watched, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.attention import SDPBackend, sdpa_kernel

from locant.observation import AttentionFacts, ForwardFacts, ModelAttached
from locant.probe.probe import Probe, ProbeOptions
from locant.wire.channel import Channel
from probe.tinies import causal, tokens

RANKS = 2
IDS = tokens(2, 14)


class Written(nn.Module):
    """A hand-written layer of 4 heads; its projections may be sharded."""

    def __init__(self, *, is_causal: bool) -> None:
        super().__init__()
        self.is_causal = is_causal
        self.embed = nn.Embedding(64, 32)
        self.query, self.key, self.value = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 32)
        self.out = nn.Linear(32, 64)

    def forward(self, input_ids: Tensor) -> Tensor:
        hidden = self.embed(input_ids)
        parts = (p(hidden).unflatten(-1, (-1, 8)).transpose(1, 2) for p in (self.query, self.key, self.value))
        with sdpa_kernel(SDPBackend.MATH):  # the one that takes distributed tensors on a CPU, as long as none is hidden
            mixed = nn.functional.scaled_dot_product_attention(*parts, is_causal=self.is_causal)
        found: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return found


def model_of(kind: str, mesh: DeviceMesh | None) -> nn.Module:
    """The model of a setup, the same weights on every rank, sharded over the mesh if there is one."""
    if kind == "transformers":
        model: nn.Module = causal("llama", attn="sdpa")
        return model if mesh is None else _by_its_own_plan(model, mesh)
    torch.manual_seed(3)
    model = Written(is_causal=kind == "local").eval()
    if mesh is None:
        return model
    local = kind == "local"
    wide = {name: ColwiseParallel(use_local_output=local) for name in ("query", "key", "value")}
    return parallelize_module(model, mesh, {**wide, "out": RowwiseParallel()})


def _by_its_own_plan(model: Any, mesh: DeviceMesh) -> nn.Module:
    from transformers.distributed.tensor_parallel import apply_tensor_parallelism

    sharded: nn.Module = apply_tensor_parallelism(model, mesh, model._expand_parallel_plan(model.tp_plan))
    return sharded


def collectives(run: Callable[[], Any]) -> int:
    """How many collectives this rank took part in meanwhile, from whatever thread: its group numbers them."""
    group: Any = dist.group.WORLD
    if not dist.is_initialized():
        run()
        return 0
    before: int = group._get_sequence_number_for_group()
    run()
    after: int = group._get_sequence_number_for_group()
    return after - before


def watched(model: nn.Module, run: Callable[[], Any]) -> dict[str, Any]:
    """What a probe that looks at every pass says of two passes, what they put out, and which collectives they ran."""
    channel = Channel(1000)
    found: dict[str, Any] = {}

    def attend() -> None:
        options = ProbeOptions(strict=True, attention_rate=1.0, attention_rows=10**6, overhead_budget=None)
        probe = Probe(model, model_id=1, channel=channel, options=options)
        probe.attach()
        found["outputs"] = [run(), run()]
        assert probe.flush(10.0)
        probe.close()

    found["collectives"] = collectives(attend)
    said = channel.drain(1000)
    found["attention"] = [one for one in said if isinstance(one, AttentionFacts)]
    found["errors"] = [one.error for one in said if isinstance(one, ForwardFacts)]
    found["profile"] = next(one.profile for one in said if isinstance(one, ModelAttached))
    return found


def rank(number: int, kinds: tuple[str, ...], folder: str) -> None:
    """Write what this rank saw of each setup to a file of its own."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=number, world_size=RANKS)
    try:
        mesh = init_device_mesh("cpu", (RANKS,))
        assert mesh.get_group() is dist.group.WORLD
        for kind in kinds:
            torch.save(seen_of(model_of(kind, mesh)), Path(folder) / f"{kind}.{number}")
    finally:
        dist.destroy_process_group()


def seen_of(model: nn.Module) -> dict[str, Any]:
    """A model without a probe, and with one."""

    def run() -> Tensor:
        with torch.no_grad():
            output = model(IDS)
        logits: Tensor = output if isinstance(output, Tensor) else output.logits
        return logits.clone()

    found: dict[str, Any] = {"bare": run()}
    found["bare_collectives"] = collectives(lambda: [run(), run()])
    return {**found, **watched(model, run)}
