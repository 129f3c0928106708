"""A compiled model shows what it shows uncompiled, for a second graph at the moments when it is compiled anyway."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import nn

from locant.probe.attention import seams
from locant.probe.attention.compiled.operation import operation
from locant.probe.attention.compiled.twins import COMPILER
from locant.probe.attention.contract import LayerStatistics
from probe.attention.compiled_models import Backend, Plain, graph_count, hand_written, observations, observing
from probe.attention.test_attention_capture import context_of, watching
from probe.tinies import causal, left_padded, tokens

DECODERS: list[tuple[str, dict[str, Any], str, bool]] = [
    ("llama", {}, "aot_eager", True),
    ("llama", {}, "eager", False),
    ("gpt2", {}, "eager", True),
    ("mistral", {"sliding_window": 5}, "eager", True),
]
"""Family, changes of its configuration, backend, and whether the caller remembers the mask of its padded batch."""


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    """Nothing compiled, nothing counted."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


def _assert_alike(seen: list[LayerStatistics], wanted: list[LayerStatistics]) -> None:
    assert [layer.layer for layer in seen] == [layer.layer for layer in wanted]
    assert len(seen) > 0
    for mine, theirs in zip(seen, wanted, strict=True):
        torch.testing.assert_close(mine.sums, theirs.sums, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(mine.padding_mass_largest, theirs.padding_mass_largest, rtol=1e-5, atol=1e-5)
        assert torch.equal(mine.visibility, theirs.visibility)
        assert (int(mine.rows), int(mine.padded_rows)) == (int(theirs.rows), int(theirs.padded_rows))


@pytest.mark.parametrize(("family", "changes", "backend", "told"), DECODERS)
def test_a_compiled_decoder_shows_the_statistics_and_the_mask_that_it_shows_uncompiled(
    family: str, changes: dict[str, Any], backend: str, told: bool
) -> None:
    ids, mask = left_padded(14, 6)
    given = {"input_ids": ids, "attention_mask": mask if told else torch.ones_like(mask), "use_cache": False}
    model = causal(family, attn="sdpa", **changes)
    with watching(model, context_of(mask)) as wanted:
        eager = model(**given).logits
    compiled: Any = torch.compile(model, backend=backend, fullgraph=True)
    with observing(compiled) as armed:
        bare = compiled(**given).logits
        output, seen = armed(context_of(mask), lambda: compiled(**given).logits)
    assert torch.equal(bare, output)
    assert torch.equal(bare, eager)
    _assert_alike(seen, wanted)
    assert bool((seen[0].visibility[:, 4] > 0).any()) is not told
    assert graph_count() == 1


def test_decode_steps_with_a_cache_are_seen_and_their_graph_serves_every_length() -> None:
    model = causal("llama", attn="sdpa")
    compiled: Any = torch.compile(model, backend="eager", fullgraph=True, dynamic=True)
    ids, mask = left_padded(9, 5)
    with observing(compiled) as armed:
        cache = model(input_ids=ids, attention_mask=mask, use_cache=True).past_key_values
        for step in range(4):
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
            given = {"input_ids": tokens(2, 1, step), "attention_mask": mask, "past_key_values": cache}
            _, seen = armed(context_of(mask, cached=9 + step), lambda given=given: compiled(**given))
    assert [int(layer.rows) for layer in seen] == [2, 2]
    assert int(torch.stack([layer.visibility for layer in seen]).max()) == 0
    assert graph_count() == 1


@pytest.mark.parametrize(("dynamic", "masked"), [(None, True), (True, False)])
def test_a_compiled_hand_written_model_is_seen_at_the_fused_function(dynamic: bool | None, masked: bool) -> None:
    model, ids = hand_written(), tokens(2, 7)
    mask = torch.ones(7, 7).tril().bool() if masked else None
    context = context_of(torch.ones_like(ids))
    with watching(model, context) as wanted:
        eager = model(ids, mask)
    compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    with observing(compiled) as armed:
        bare = compiled(ids, mask)
        output, seen = armed(context, lambda: compiled(ids, mask))
    assert torch.equal(bare, eager)
    assert torch.equal(bare, output)
    _assert_alike(seen, wanted)


@pytest.mark.parametrize("norm_first", [True, False])
def test_torchs_own_encoder_shows_its_attention_compiled(norm_first: bool) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=norm_first)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    values, mask = torch.randn(3, 8, 16), torch.arange(8) < torch.tensor([8, 5, 2])[:, None]
    context = context_of(mask.long(), is_causal=False)
    compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
    with observing(compiled) as armed:
        bare = compiled(values, src_key_padding_mask=~mask)
        output, seen = armed(context, lambda: compiled(values, src_key_padding_mask=~mask))
    assert torch.equal(bare, output)
    assert [int(entry.rows) for entry in seen] == [15, 15]
    assert max(float(entry.padding_mass_largest) for entry in seen) == 0


def test_ordinary_passes_run_the_graph_that_they_would_run_without_locant() -> None:
    alone, beside, model, ids = Backend(), Backend(), hand_written(), tokens(2, 7)
    torch.compile(model, backend=alone)(ids)
    torch._dynamo.reset()
    compiled: Any = torch.compile(model, backend=beside)
    with observing(compiled) as armed:
        for number in range(9):
            if number % 3:
                compiled(ids)
            else:
                armed(context_of(torch.ones_like(ids)), lambda: compiled(ids))
        assert [graph.code for graph in beside.graphs[:1]] == [graph.code for graph in alone.graphs]
        assert (beside.plain, beside.observed) == ([7], [2])
    compiled(ids)
    assert (beside.plain, beside.observed) == ([8], [2])


def test_graphs_of_other_models_and_other_functions_have_no_twin() -> None:
    backend, model, ids = Backend(), hand_written(), tokens(2, 7)

    class Other(Plain):
        """With a forward of its own: graphs belong to code, whose instances share them."""

        def forward(self, input_ids: torch.Tensor, attn_mask: torch.Tensor | None = None) -> torch.Tensor:
            return Plain.forward(self, input_ids, attn_mask) * 2

    @torch.compile(backend=backend)
    def norm(x: torch.Tensor) -> torch.Tensor:
        return x / x.norm()

    with observing(model):
        torch.compile(Other(), backend=backend)(ids)
        norm(torch.randn(3))
        torch.compile(model.embed, backend=backend)(ids)
        assert len(backend.graphs) == 3
        torch.compile(model, backend=backend)(ids)
        assert len(backend.graphs) == 5


def test_graphs_that_were_compiled_before_the_watch_are_neither_seen_nor_compiled_again() -> None:
    backend, model, ids = Backend(), hand_written(), tokens(2, 7)
    compiled: Any = torch.compile(model, backend=backend)
    compiled(ids)
    with observing(compiled) as armed:
        assert armed(context_of(torch.ones_like(ids)), lambda: compiled(ids))[1] == []
        assert len(backend.graphs) == 1
        longer = tokens(2, 9)
        compiled(longer)
        assert len(armed(context_of(torch.ones_like(longer)), lambda: compiled(longer))[1]) == 2
    assert len(backend.graphs) == 3


def test_the_tracers_limit_is_left_to_the_model() -> None:
    backend, model = Backend(), hand_written()
    compiled: Any = torch.compile(model, backend=backend, fullgraph=True, dynamic=False)
    limits: Any = torch._dynamo.config.patch(recompile_limit=4, fail_on_recompile_limit_hit=True)
    with limits, observing(compiled) as armed:
        for _ in range(3):
            for length in (5, 6, 7, 8):
                ids = tokens(2, length)
                armed(context_of(torch.ones_like(ids)), lambda ids=ids: compiled(ids))
    assert (backend.plain, backend.observed) == ([1, 0, 0, 0], [2, 3, 3, 3])


def _fails_on_observed(observed: bool) -> bool:
    return observed


def test_a_backend_that_refuses_the_second_graph_leaves_the_model_its_first(watch_model: Any) -> None:
    backend, model, ids = Backend(fails=_fails_on_observed), hand_written(), tokens(2, 7)
    bare = model(ids)
    seen = watch_model(model, attention_rate=1.0, attention_compiled=True, strict=False)
    compiled: Any = torch.compile(model, backend=backend, fullgraph=True)
    for _ in range(3):
        assert torch.equal(compiled(ids), bare)
    assert backend.plain == [3]
    assert dict(seen.probe.guard.errors) == {"attention_graph": 1}
    assert seen.attention == []
    assert all("attention" not in facts.seen for facts in seen.passes)


def test_a_backend_that_keeps_refusing_is_asked_no_more(watch_model: Any) -> None:
    asked: list[bool] = []

    def refuses(observed: bool) -> bool:
        asked.append(observed)
        return observed

    model = hand_written()
    watch_model(model, attention_compiled=True, strict=False)
    compiled: Any = torch.compile(model, backend=Backend(fails=refuses), dynamic=False)
    for length in range(3, 10):
        compiled(tokens(2, length))
    assert (asked.count(False), asked.count(True)) == (7, 5)


def test_an_error_of_the_profiler_inside_of_a_graph_never_reaches_the_model(
    watch_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ids = hand_written(), tokens(2, 7)
    bare = model(ids)
    seen = watch_model(model, attention_rate=1.0, attention_compiled=True, strict=False)
    compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
    compiled(ids)

    def broken(*_: Any) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr("locant.probe.attention.armed.function_call", broken)
    assert torch.equal(compiled(ids), bare)
    assert dict(seen.probe.guard.errors) == {"attention": 1}


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_the_second_graph_is_never_captured_in_a_cuda_graph(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    import torch._inductor.compile_fx as file

    asked: list[tuple[bool, bool]] = []

    def compile_fx(graph: Any, inputs: Any, config_patches: Any = None, **_: Any) -> Any:
        asked.append((observations(graph) > 0, bool((config_patches or {}).get("triton.cudagraphs"))))
        return graph.forward

    monkeypatch.setattr(file, "compile_fx", compile_fx)
    model = hand_written()
    with observing(model):
        torch.compile(model, mode=mode)(tokens(2, 7))
    assert asked == [(False, mode == "reduce-overhead"), (True, False)]
    assert torch.Tag.cudagraph_unsafe in operation().tags


@pytest.mark.parametrize(("targets", "more"), [(seams.function_targets, 1), (seams.interface_targets, 0)])
def test_a_compiled_model_beside_an_uncompiled_one_is_compiled_once_more_at_most(targets: Any, more: int) -> None:
    by_hand, llama = hand_written(), causal("llama", attn="sdpa", num_hidden_layers=1)
    models: list[Any] = [torch.compile(model, backend="eager", dynamic=False) for model in (by_hand, llama)]
    ids = tokens(2, 7)
    for number in range(6):
        if number % 2:
            seams.SEAM.hold(targets())
        models[0](ids)
        models[1](input_ids=ids, use_cache=False)
        if number % 2:
            seams.SEAM.release(targets())
    assert graph_count() == 2 * (1 + more)


def test_a_tracer_that_looks_different_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._dynamo.output_graph as file

    class Other:
        """Another torch's."""

    monkeypatch.setattr(file, "OutputGraph", Other)
    with observing(hand_written()):
        assert (
            vars(Other).keys()
            == vars(type("Empty", (), {"__doc__": ""})).keys() | {"__firstlineno__"} & vars(Other).keys()
        )


def test_after_the_watch_the_tracer_is_as_it_was_and_the_second_graph_is_gone() -> None:
    from torch._dynamo.output_graph import OutputGraph

    untouched = OutputGraph.call_user_compiler
    model, backend = hand_written(), Backend()
    compiled: Any = torch.compile(model, backend=backend)
    with observing(compiled), observing(nn.Linear(2, 2)):
        assert OutputGraph.call_user_compiler is not untouched
        bare = compiled(tokens(2, 7))
    assert OutputGraph.call_user_compiler is untouched
    assert COMPILER._listeners == ()
    observed = weakref.ref(backend.graphs.pop())
    gc.collect()
    assert observed() is None
    assert torch.equal(compiled(tokens(2, 7)), bare)


def _train(model: nn.Module, call: Callable[[], Any]) -> list[torch.Tensor]:
    model.zero_grad()
    with torch.enable_grad():
        output = call()
        logits: torch.Tensor = getattr(output, "logits", output)
        logits.pow(2).mean().backward()
    return [logits.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("checkpointed", [False, True])
def test_training_a_compiled_model_keeps_the_bits_of_its_gradients(checkpointed: bool) -> None:
    model, ids = causal("llama", attn="sdpa", num_hidden_layers=1).train(), tokens(2, 8)
    if checkpointed:
        begin = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
        begin({"use_reentrant": False})
    compiled: Any = torch.compile(model, backend="aot_eager")
    call = lambda: compiled(input_ids=ids, use_cache=False)  # noqa: E731
    with observing(compiled) as armed:
        bare = _train(model, call)
        trained, seen = armed(context_of(torch.ones_like(ids)), lambda: _train(model, call))
    assert len(bare) > 10
    assert all(torch.equal(a, b) for a, b in zip(bare, trained, strict=True))
    assert [(layer.layer, int(layer.rows)) for layer in seen] == [(0, 16)]
    assert not any(layer.sums.requires_grad for layer in seen)


def test_the_backward_of_the_second_graph_is_compiled_before_a_pass_is_looked_at() -> None:
    from torch._dynamo.backends.common import aot_autograd

    compiled_graphs: list[str] = []

    def noting(kind: str) -> Callable[..., Any]:
        def compiler(graph: Any, inputs: Any) -> Any:
            compiled_graphs.append(kind)
            return make_boxed_func(graph.forward)

        return compiler

    model, ids = hand_written().train(), tokens(2, 7)
    backend: Any = aot_autograd(fw_compiler=noting("forward"), bw_compiler=noting("backward"))
    compiled: Any = torch.compile(model, backend=backend)
    with observing(compiled) as armed:
        bare = _train(model, lambda: compiled(ids))
        assert sorted(compiled_graphs) == ["backward", "backward", "forward", "forward"]
        trained, seen = armed(context_of(torch.ones_like(ids)), lambda: _train(model, lambda: compiled(ids)))
    assert len(compiled_graphs) == 4
    assert len(seen) == 2
    assert all(torch.equal(a, b) for a, b in zip(bare, trained, strict=True))


@pytest.mark.parametrize("inside", [True, False])
def test_under_autocast_a_compiled_kernels_own_numbers_are_read(inside: bool) -> None:
    class Rotated(Plain):
        def forward(self, input_ids: torch.Tensor, attn_mask: torch.Tensor | None = None) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=inside or torch.is_autocast_enabled("cpu")):
                x = self.embed(input_ids)
                query, key, value = self.layers[0](x).view(*x.shape[:2], 3, 2, 8).permute(2, 0, 3, 1, 4) * 1.01
                query, key = query.float() * 1.01, key.float() * 0.99
                mixed: torch.Tensor = nn.functional.scaled_dot_product_attention(
                    query, key, value.float(), is_causal=True
                )
                return mixed

    torch.manual_seed(0)
    model, ids = Rotated().eval(), tokens(2, 7)
    context = context_of(torch.ones_like(ids))
    compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=not inside):
        with watching(model, context) as wanted:
            eager = model(ids)
        with observing(compiled) as armed:
            bare = compiled(ids)
            output, seen = armed(context, lambda: compiled(ids))
    assert bare.dtype == torch.bfloat16
    assert torch.equal(bare, output)
    assert torch.equal(bare, eager)
    _assert_alike(seen, wanted)


def test_in_inference_mode_a_compiled_model_is_seen() -> None:
    model, ids = hand_written(), tokens(2, 7)
    compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.inference_mode(), observing(compiled) as armed:
        bare = compiled(ids)
        output, seen = armed(context_of(torch.ones_like(ids)), lambda: compiled(ids))
    assert torch.equal(bare, output)
    assert [int(layer.rows) for layer in seen] == [14, 14]


def test_an_exported_model_holds_nothing_of_ours() -> None:
    model, ids = hand_written(), tokens(2, 7)
    with observing(torch.compile(model, backend="eager")) as armed:
        for strict in (True, False):
            exported, _ = armed(
                context_of(torch.ones_like(ids)), lambda s=strict: torch.export.export(model, (ids,), strict=s)
            )
            assert "locant" not in str(exported.graph)
            assert torch.equal(exported.module()(ids), model(ids))
