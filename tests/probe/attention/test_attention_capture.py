"""Where attention is met: the numbers are those of the model's own weights, and the model does not notice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from locant.observation import ABSENT
from locant.probe.attention import seams
from locant.probe.attention.capture import AttentionCapture
from locant.probe.attention.contract import STATISTICS, LayerStatistics, PassContext
from locant.probe.profile import describe
from probe.tinies import causal, left_padded, tiny, tokens

EVERY_ROW = 10**6
ENTROPY, LARGEST = STATISTICS.index("entropy"), STATISTICS.index("largest_weight")


@contextmanager
def watching(
    model: nn.Module,
    context: PassContext,
    rows: int = EVERY_ROW,
    part: nn.Module | None = None,
    layers: tuple[int, ...] = tuple(range(32)),
) -> Iterator[list[LayerStatistics]]:
    """Every pass of the model (or of a part) is looked at, in all layers; errors fail the test."""
    errors: list[Exception] = []
    found: list[LayerStatistics] = []
    capture = AttentionCapture(model, describe(model), rows, layers, on_error=errors.append)
    target = part if part is not None else model
    before = target.register_forward_pre_hook(lambda *_: capture.arm(context, found.append))
    after = target.register_forward_hook(lambda *_: capture.disarm())
    yield found
    before.remove()
    after.remove()
    capture.close()
    assert not errors


def context_of(mask: torch.Tensor, *, is_causal: bool = True, cached: int = 0) -> PassContext:
    """The context of a batch with a 2-D mask over cached and new tokens."""
    queries = mask.shape[1] - cached
    real = mask.bool()
    return PassContext(1, mask.shape[0], queries, ~real, None, real[:, cached:], is_causal, 5, cached)


def assert_same_weights(found: list[LayerStatistics], weights: tuple[torch.Tensor, ...], real: torch.Tensor) -> None:
    """Entropy and largest weight, summed over real rows, against attention matrices [B, H, Q, K]."""
    assert [layer.layer for layer in found] == list(range(len(weights)))
    for layer, matrix in zip(found, weights, strict=True):
        rows = matrix.double().permute(0, 2, 1, 3)[real]
        entropy = -(rows * torch.where(rows > 0, rows.log(), 0.0)).sum((0, -1))
        assert int(layer.rows) == int(real.sum())
        torch.testing.assert_close(layer.sums[ENTROPY].double(), entropy, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(layer.sums[LARGEST].double(), rows.amax(-1).sum(0), rtol=1e-4, atol=1e-4)


INTERFACE: list[tuple[str, str, dict[str, Any]]] = [
    *[("llama", attn, {}) for attn in ("eager", "sdpa")],
    ("gpt2", "sdpa", {}),
    ("mistral", "sdpa", {"sliding_window": 5}),
    ("gemma2", "eager", {"sliding_window": 5, "attn_logit_softcapping": 2.0}),
    ("gpt_oss", "eager", {"sliding_window": 5}),
]
WRITTEN_OUT = ("bloom", "mpt", "gptj", "gpt_neo", "falcon", "codegen")
SOFTMAX: list[tuple[str, str, dict[str, Any]]] = [(family, "eager", {}) for family in WRITTEN_OUT]


@pytest.mark.parametrize(("family", "attn", "changes"), INTERFACE + SOFTMAX)
def test_statistics_are_those_of_the_weights_that_a_decoder_returns(family: str, attn: str, changes: Any) -> None:
    ids, mask = left_padded(14, 6)
    written_out = causal(family, **changes)
    model = causal(family, attn=attn, **changes)
    with torch.no_grad():
        weights = written_out(input_ids=ids, attention_mask=mask, output_attentions=True).attentions
        bare = model(input_ids=ids, attention_mask=mask).logits
        with watching(model, context_of(mask)) as found:
            seen = model(input_ids=ids, attention_mask=mask).logits
    assert torch.equal(bare, seen)
    assert_same_weights(found, weights, mask.bool())
    assert max(float(layer.padding_mass_largest) for layer in found) == 0
    assert torch.stack([layer.visibility for layer in found]).max() == 0


@pytest.mark.parametrize("attn", ["eager", "sdpa"])
@pytest.mark.parametrize("family", ["t5", "bart"])
def test_a_decoder_beside_an_encoder_shows_its_self_attention_only(family: str, attn: str) -> None:
    ids = tokens(2, 9)
    mask = torch.ones_like(ids)
    written_out = tiny(family, "AutoModelForSeq2SeqLM")
    model = tiny(family, "AutoModelForSeq2SeqLM", attn=attn)
    given = {"input_ids": tokens(2, 9, 1), "decoder_input_ids": ids}
    with torch.no_grad():
        weights = written_out(**given, output_attentions=True).decoder_attentions
        with watching(model, context_of(mask), part=model.get_decoder()) as found:
            model(**given)
    assert_same_weights(found, weights, mask.bool())


@pytest.mark.parametrize("family", ["bert", "roformer", "mpnet", "deberta-v2"])
def test_encoders_look_both_ways_and_nothing_is_made_of_it(family: str) -> None:
    ids, mask = tokens(2, 9), torch.ones(2, 9, dtype=torch.long)
    mask[1, 5:] = 0
    model = tiny(family)
    with torch.no_grad():
        weights = model(input_ids=ids, attention_mask=mask, output_attentions=True).attentions
        with watching(model, context_of(mask, is_causal=False)) as found:
            model(input_ids=ids, attention_mask=mask)
    assert_same_weights(found, weights, mask.bool())
    assert [int(v) for v in found[0].visibility[1]] == [ABSENT, ABSENT, ABSENT, 0, 0, ABSENT, ABSENT]


def test_a_decode_step_counts_cached_keys() -> None:
    ids, mask = left_padded(10, 4)
    model = causal("llama", attn="sdpa")
    written_out = causal("llama")
    with torch.no_grad():
        cache = model(input_ids=ids[:, :-1], attention_mask=mask[:, :-1], use_cache=True).past_key_values
        weights = written_out(input_ids=ids, attention_mask=mask, output_attentions=True).attentions
        with watching(model, context_of(mask, cached=9)) as found:
            model(input_ids=ids[:, -1:], attention_mask=mask, past_key_values=cache)
    assert_same_weights(found, tuple(matrix[:, :, -1:] for matrix in weights), torch.ones(2, 1, dtype=torch.bool))
    assert torch.stack([layer.visibility for layer in found]).max() == 0


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_torchs_own_encoder_keeps_its_fused_path_and_is_seen(norm_first: bool, nested: bool) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=norm_first)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested and not norm_first).eval()
    values, mask = torch.randn(3, 8, 16), torch.arange(8) < torch.tensor([8, 5, 2])[:, None]
    with torch.inference_mode():
        bare = model(values, src_key_padding_mask=~mask)
        capture_context = context_of(mask.long(), is_causal=False)
        with _hookless(model, capture_context) as found:
            seen = model(values, src_key_padding_mask=~mask)
    assert torch.equal(bare, seen)
    assert_same_weights(found, _weights_of_stack(model, values, mask), mask)
    assert max(float(entry.padding_mass_largest) for entry in found) == 0


@contextmanager
def _hookless(model: nn.Module, context: PassContext) -> Iterator[list[LayerStatistics]]:
    """Armed around the call: a hook on torch's encoder would switch the fused path off."""
    found: list[LayerStatistics] = []
    capture = AttentionCapture(model, describe(model), EVERY_ROW, tuple(range(32)))
    capture.arm(context, found.append)
    yield found
    capture.disarm()
    capture.close()


def _weights_of_stack(model: nn.TransformerEncoder, values: torch.Tensor, mask: torch.Tensor) -> tuple[Any, ...]:
    """Attention matrices of a stack, computed layer by layer without the fused path."""
    kept = []
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            for layer in model.layers:
                assert isinstance(layer, nn.TransformerEncoderLayer)
                inside = layer.norm1(values) if layer.norm_first else values
                given = {"key_padding_mask": ~mask, "need_weights": True, "average_attn_weights": False}
                kept.append(layer.self_attn(inside, inside, inside, **given)[1])
                values = layer(values, src_key_padding_mask=~mask)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    return tuple(kept)


class Plain(nn.Module):
    """A hand-written attention layer."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(16, 48)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.project(x).view(*x.shape[:2], 3, 2, 8).permute(2, 0, 3, 1, 4)
        query, key, value = parts
        return nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)


def _plain_pass() -> tuple[Plain, torch.Tensor, PassContext]:
    torch.manual_seed(0)
    return Plain(), torch.randn(2, 6, 16), context_of(torch.ones(2, 6, dtype=torch.long))


def test_a_hand_written_model_is_seen_at_the_fused_function() -> None:
    model, values, context = _plain_pass()
    with watching(model, context) as found:
        model(values)
    assert [int(layer.rows) for layer in found] == [12]


def test_under_autocast_sums_stay_in_single_precision() -> None:
    model, values, context = _plain_pass()
    with torch.autocast("cpu", torch.bfloat16), watching(model, context) as found:
        model(values)
    assert found[0].sums.dtype == torch.float32
    assert float(found[0].sums[ENTROPY].mean()) > 0


def test_training_keeps_its_gradients() -> None:
    model, values, context = _plain_pass()
    with torch.enable_grad():
        model(values).sum().backward()
        wanted = model.project.weight.grad
        assert wanted is not None
        wanted = wanted.clone()
        model.zero_grad()
        with watching(model, context) as found:
            model(values).sum().backward()
    assert model.project.weight.grad is not None
    assert torch.equal(model.project.weight.grad, wanted)
    assert not found[0].sums.requires_grad


def test_the_random_numbers_of_the_model_are_left_alone() -> None:
    model, values, context = _plain_pass()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    with watching(model, context, rows=4):
        model(values)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_pass_of_another_thread_is_not_seen() -> None:
    model, values, context = _plain_pass()
    found: list[LayerStatistics] = []
    capture = AttentionCapture(model, describe(model))
    capture.arm(context, found.append)
    other = threading.Thread(target=model, args=(values,))
    other.start()
    other.join()
    capture.close()
    assert found == []


def test_an_error_of_the_profiler_is_told_once_and_never_reaches_the_model() -> None:
    model, values, context = _plain_pass()
    told: list[Exception] = []

    def broken(_: LayerStatistics) -> None:
        raise RuntimeError("no room")

    capture = AttentionCapture(model, describe(model), on_error=told.append)
    capture.arm(context, broken)
    model(values)
    model(values)
    capture.close()
    assert [str(error) for error in told] == ["no room"]


def _functions() -> list[Callable[..., Any]]:
    from transformers.modeling_utils import AttentionInterface

    return [getattr(owner, name) for owner, name in seams.FUNCTIONS] + [AttentionInterface.get_interface]


def test_between_armed_passes_nothing_is_replaced() -> None:
    untouched = _functions()
    model, _, context = _plain_pass()
    first, second = AttentionCapture(model, describe(model)), AttentionCapture(model, describe(model))
    assert _functions() == untouched
    first.arm(context, lambda _: None)
    second.arm(context, lambda _: None)
    assert _functions() != untouched
    first.disarm()
    first.disarm()
    second.close()
    assert _functions() == untouched
    second.arm(context, lambda _: None)
    assert _functions() == untouched


def test_a_function_that_somebody_else_replaced_meanwhile_is_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, context = _plain_pass()
    capture = AttentionCapture(model, describe(model))
    capture.arm(context, lambda _: None)

    def theirs() -> None:
        return None

    monkeypatch.setattr(torch.nn.functional, "softmax", theirs)
    capture.close()
    assert vars(torch.nn.functional)["softmax"] is theirs


def test_a_compiled_model_is_not_seen_and_not_compiled_again() -> None:
    import torch._dynamo as dynamo

    dynamo.reset()
    model, values, context = _plain_pass()
    compiled: Any = torch.compile(model, backend="eager")
    compiled(values)
    before = dynamo.utils.counters["stats"]["unique_graphs"]
    with watching(compiled, context) as found:
        compiled(values)
        compiled(values)
    assert dynamo.utils.counters["stats"]["unique_graphs"] == before
    assert found == []


def test_structure_is_judged_in_every_layer_and_weights_in_some() -> None:
    ids = tokens(1, 12)
    model = causal("llama", attn="sdpa", num_hidden_layers=9)
    capture = AttentionCapture(model, describe(model))
    counted = set()
    with torch.no_grad():
        for number in range(8):
            context = PassContext(number, 1, 12, None, None, None, True, number, 0)
            found: list[LayerStatistics] = []
            capture.arm(context, found.append)
            model(input_ids=ids)
            capture.disarm()
            layers = {layer.layer for layer in found if int(layer.rows)}
            assert {0, 8} <= layers
            assert len(layers) == 4
            counted |= layers
    capture.close()
    assert counted == set(range(9))


@pytest.mark.parametrize(("length", "bins"), [(15, 0), (16, 16), (31, 16), (32, 32), (50, 32)])
def test_a_heat_map_has_32_bins_or_half_as_many_and_holds_all_mass_of_the_rows(length: int, bins: int) -> None:
    mask = torch.ones(2, length, dtype=torch.long)
    model = causal("llama")
    with torch.no_grad(), watching(model, context_of(mask)) as found:
        model(input_ids=tokens(2, length), attention_mask=mask)
    maps = [layer for layer in found if layer.heat is not None and layer.heat_rows is not None]
    assert [len(layer.heat_rows) for layer in maps] == ([bins] if bins else [])
    for layer in maps:
        assert int(layer.heat_rows.sum()) == int(layer.rows)
        torch.testing.assert_close(layer.heat.sum(1), layer.heat_rows.float())
