"""FlexAttention called by hand is met by its name, compiled or not, and its functions count as it runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from locant.probe.attention.contract import PassContext
from locant.probe.attention.engine import row_statistics
from locant.probe.attention.flex import flex_call
from locant.probe.attention.layout import lay_out
from locant.probe.attention.limits import limits_of
from locant.probe.attention.strata import structural_rows
from probe.attention.capturing import armed, assert_weights, plain_context

compiled_flex: Any = torch.compile(flex_attention, backend="eager")
QUERIES = 8
pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")


class Layer(nn.Module):
    """Attention of 4 heads on 2 key heads; `kernel` is called by the name that this file has for it."""

    def __init__(self, kernel: str = "plain", **given: Any) -> None:
        super().__init__()
        self.project = nn.Linear(16, 4 * 8 + 2 * 8 + 2 * 8)
        self.kernel = kernel
        self.given = given

    def parts(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values [B, heads, S, 8]."""
        return tuple(t.unflatten(-1, (-1, 8)).transpose(1, 2) for t in self.project(x).split((32, 16, 16), -1))

    def forward(self, x: Tensor) -> Tensor:
        call: Any = {"plain": flex_attention, "compiled": compiled_flex}[self.kernel]
        found: Tensor = call(*self.parts(x), enable_gqa=True, **self.given)
        return found


def dense(layer: Layer, x: Tensor) -> Tensor:
    """The layer's weights, float64 [B, H, Q, K], with its functions called for one place at a time."""
    query, key, _ = (t.double() for t in layer.parts(x))
    scores = query @ key.repeat_interleave(2, 1).transpose(-1, -2) * layer.given.get("scale", 8**-0.5)
    change, block_mask = layer.given.get("score_mod"), layer.given.get("block_mask")
    for place in torch.cartesian_prod(*(torch.arange(size) for size in scores.shape)):
        b, h, q, k = place.unbind()
        if change is not None:
            scores[b, h, q, k] = change(scores[b, h, q, k], b, h, q, k)
        if block_mask is not None and not block_mask.mask_mod(b, h, q, k):
            scores[b, h, q, k] = -torch.inf
    return scores.softmax(-1)


def assert_read(layer: Layer, context: PassContext, x: Tensor) -> Tensor:
    """Same bits, and the statistics of the weights. Gives what the mask lets through."""
    bare, weights = layer(x), dense(layer, x)
    with armed(layer, context) as found:
        seen = layer(x)
    assert torch.equal(bare, seen)
    (only,) = found
    assert_weights(only, weights.transpose(0, 1).flatten(1, 2), torch.arange(QUERIES).repeat(len(x)))
    return only.visibility


def causal(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return q >= k


OWNER = torch.tensor([[0] * 3 + [1] * 5, [0] * 6 + [1] * 2])


def documents(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return (OWNER[b][q] == OWNER[b, k]) & (q >= k)


def wider_by_head(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return (q >= k) & (q - k <= h + 1)


def block(function: Callable[..., Tensor], heads: int | None = None) -> BlockMask:
    """The function's block mask, as models make it."""
    return create_block_mask(function, 2, heads, QUERIES, QUERIES, device="cpu")


SLOPES = torch.tensor([0.5, 0.25, 0.125, 0.0625])


def alibi(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return score - SLOPES[h] * (q - k).abs()


def capped_and_causal(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return torch.where(q >= k, 2.0 * torch.tanh(score / 2.0), -torch.inf)


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
@pytest.mark.parametrize(("function", "heads"), [(causal, None), (documents, None), (wider_by_head, 4)])
def test_a_mask_function_counts_as_written_for_single_places(function: Any, heads: int | None, kernel: str) -> None:
    layer, x = Layer(kernel, block_mask=block(function, heads), scale=0.6), torch.randn(2, QUERIES, 16)
    assert assert_read(layer, plain_context(2, QUERIES), x).max() == 0


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
def test_a_function_of_the_scores_is_run_on_the_sampled_rows(kernel: str) -> None:
    x = torch.randn(2, QUERIES, 16)
    assert_read(Layer(kernel, score_mod=alibi, block_mask=block(causal)), plain_context(2, QUERIES), x)
    assert_read(Layer(kernel, score_mod=capped_and_causal), plain_context(2, QUERIES), x)


def test_a_mask_that_only_a_function_of_the_scores_makes_is_judged() -> None:
    def leaking(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return torch.where(q + 1 >= k, score, -torch.inf)

    x = torch.randn(2, QUERIES, 16)
    sound = assert_read(Layer(score_mod=capped_and_causal), plain_context(2, QUERIES), x)
    broken, context = Layer(score_mod=leaking), plain_context(2, QUERIES)
    with armed(broken, context) as found:
        broken(x)
    assert sound[:, 2].tolist() == [0, 0]
    assert found[0].visibility[:, 2].tolist() == [1, 1]


def test_a_mask_function_that_mixes_requests_is_judged() -> None:
    layer, x = Layer(block_mask=block(causal)), torch.randn(2, QUERIES, 16)
    context = replace(plain_context(2, QUERIES), key_request=OWNER)
    assert assert_read(layer, context, x)[:, 5].min() > 0
    assert assert_read(Layer(block_mask=block(documents)), context, x)[:, 5].tolist() == [0, 0]


def test_without_any_function_all_keys_are_visible() -> None:
    layer, x = Layer(), torch.randn(2, QUERIES, 16)
    with armed(layer, plain_context(2, QUERIES)) as found:
        layer(x)
    assert found[0].visibility[:, 2].tolist() == [QUERIES - 1] * 2


def test_blocks_without_a_function_say_too_little_and_are_left_alone() -> None:
    whole = block(causal)
    blocks = BlockMask.from_kv_blocks(
        whole.kv_num_blocks, whole.kv_indices, BLOCK_SIZE=whole.BLOCK_SIZE, seq_lengths=(QUERIES, QUERIES)
    )
    layer = Layer(block_mask=blocks)
    with armed(layer, plain_context(2, QUERIES)) as found:
        layer(torch.randn(2, QUERIES, 16))
    assert found == []


def test_a_function_that_cannot_be_run_on_single_rows_leaves_the_layer_unseen(watch_model: Any) -> None:
    def counts_places(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            raise RuntimeError("only inside the kernel")
        return score

    layer, x = Layer("compiled", score_mod=counts_places), torch.randn(2, QUERIES, 16)
    bare = layer(x)
    with armed(layer, plain_context(2, QUERIES)) as found:
        assert torch.equal(layer(x), bare)
    assert found == []
    seen = watch_model(layer, attention_rate=1.0)
    layer(x)
    assert [("attention" in facts.seen, facts.error) for facts in seen.passes] == [(False, "")]
    assert [report.errors for report in seen.health if report.errors] == []


def test_a_compiled_kernel_is_not_compiled_again_for_a_look() -> None:
    import torch._dynamo as dynamo

    layer, x = Layer("compiled", block_mask=block(causal)), torch.randn(2, QUERIES, 16)
    layer(x)
    before = dynamo.utils.counters["stats"]["unique_graphs"]
    for _ in range(3):
        with armed(layer, plain_context(2, QUERIES)) as found:
            layer(x)
        assert len(found) == 1
    layer(x)
    assert dynamo.utils.counters["stats"]["unique_graphs"] == before


@torch.compile(backend="eager", fullgraph=True)
def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """A function of the user's, compiled with the kernel inside."""
    found: Tensor = flex_attention(query, key, value, score_mod=alibi, enable_gqa=True)
    return found


class Inside(Layer):
    """The layer with its kernel inside of a compiled function."""

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = attend(*self.parts(x))
        return found


def test_a_kernel_inside_a_compiled_function_is_not_seen_and_built_once_more_at_most() -> None:
    import torch._dynamo as dynamo

    layer, x = Inside(), torch.randn(2, QUERIES, 16)
    bare = layer(x)
    graphs = []
    for _ in range(4):
        with armed(layer, plain_context(2, QUERIES)) as found:
            assert torch.equal(layer(x), bare)
        assert torch.equal(layer(x), bare)
        assert found == []
        graphs.append(dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs[0] == graphs[-1]


@pytest.mark.parametrize("given", [{"score_mod": capped_and_causal}, {"score_mod": alibi, "block_mask": block(causal)}])
def test_memory_is_that_of_the_rows_also_for_functions(given: dict[str, Any]) -> None:
    if "block_mask" in given:
        given = {**given, "block_mask": create_block_mask(causal, 1, None, 4096, 4096, device="cpu")}
    size, heads = 4096, 4
    query = torch.randn(1, heads, size, 16)
    context = plain_context(1, size)
    call = flex_call({"query": query, "key": query, **given}, context)
    assert call is not None
    rows = structural_rows(context, None, query.device)
    with torch.profiler.profile(profile_memory=True) as record:
        call.sight(rows)
        row_statistics(call, rows, lay_out(context, size, rows))
    largest = max(event.cpu_memory_usage for event in record.events())
    assert largest < 2**20 * 4 * 8
    assert call.scores(rows, 0, 64).shape == (1, rows.queries.shape[1], heads, 64)


def test_a_kept_pass_says_that_functions_limit_what_is_seen() -> None:
    mask = {"block_mask": block(causal)}
    called: list[dict[str, Any]] = [mask, {"score_mod": alibi}, {**mask, "score_mod": alibi}, {}]
    query = torch.randn(2, 4, QUERIES, 8)
    calls = [flex_call({"query": query, "key": query, **given}, plain_context(2, QUERIES)) for given in called]
    assert [limits_of(call) for call in calls if call is not None] == ["block", "scores", "block+scores", "none"]
