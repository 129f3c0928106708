"""The model comes first: the same bits, nothing left behind, nothing raised into it, whatever becomes of the model."""

from __future__ import annotations

import copy
import io
import pickle
import threading

import pytest
import torch
from tinies import causal, left_padded, tiny, tokens
from torch import nn

from locant.observation import Detached, ForwardFacts, StreamFacts
from locant.probe.exclude import excluded
from locant.probe.probe import Probe, ProbeOptions
from locant.wire.channel import Channel
from locant_slo.errors import ModelError

pytest.importorskip("transformers")


def hooks(model: nn.Module) -> int:
    """Hooks on a model and all its parts."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def answer(model: nn.Module, kind: str) -> torch.Tensor:
    """The logits of one padded call."""
    ids, mask = left_padded(7, 4)
    more = {"decoder_input_ids": tokens(2, 3)} if kind in ("t5", "bart") else {}
    return model(input_ids=ids, attention_mask=mask, **more)[0]


MODELS = {
    **dict.fromkeys(("gpt2", "llama", "opt", "bloom", "falcon", "gemma3_text", "mistral"), "AutoModelForCausalLM"),
    **dict.fromkeys(("bert", "roberta"), "AutoModelForMaskedLM"),
    **dict.fromkeys(("t5", "bart"), "AutoModelForSeq2SeqLM"),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("attn", ["eager", "sdpa"])
def test_answers_are_the_same_bits_and_close_leaves_nothing(watch_model, kind, attn):
    try:
        model = tiny(kind, MODELS[kind], attn=attn)
    except ValueError:
        pytest.skip(f"{kind} has no {attn} attention")
    bare, count, state = answer(model, kind), hooks(model), torch.random.get_rng_state()
    seen = watch_model(model)
    assert hooks(model) > count
    for _ in range(4):
        assert torch.equal(answer(model, kind), bare)
    assert torch.equal(state, torch.random.get_rng_state())
    seen.probe.close()
    seen.probe.close()
    assert hooks(model) == count
    assert len(seen.all(Detached)) == 1
    passes = len(seen.passes)
    answer(model, kind)
    assert len(seen.passes) == passes


def test_gradients_are_the_same_bits(watch_model):
    model = causal("llama").train()
    ids = tokens(2, 6)

    def gradient() -> torch.Tensor:
        model.zero_grad()
        with torch.enable_grad():
            model(input_ids=ids, labels=ids).loss.backward()
        return model.model.embed_tokens.weight.grad.clone()

    bare = gradient()
    watch_model(model)
    assert torch.equal(gradient(), bare)


@pytest.mark.parametrize("mode", [torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_inference_mode_and_autocast_change_nothing(watch_model, mode):
    model = causal("llama")
    with mode():
        bare = answer(model, "llama")
        seen = watch_model(model)
        assert torch.equal(answer(model, "llama"), bare)
    assert seen.passes[0].rows[1].left_pads == 3


def test_a_copy_carries_no_watch(watch_model):
    model = causal("llama")
    seen = watch_model(model)
    clone = copy.deepcopy(model)
    assert torch.equal(answer(clone, "llama"), answer(model, "llama"))
    assert len(seen.passes) == 1


def test_a_pickle_loads_where_locant_is_unknown(watch_model):
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1).eval()
    seen = watch_model(model)
    blob = pickle.dumps(model)
    assert b"locant" not in blob
    buffer = io.BytesIO()
    torch.save(model, buffer)
    x = torch.randn(1, 3, 16)
    assert torch.equal(pickle.loads(blob)(x), model(x))
    assert len(seen.passes) == 1


def test_an_error_of_the_probe_never_reaches_the_model_and_is_counted():
    model = causal("llama")
    channel = Channel()
    probe = Probe(model, model_id=1, channel=channel, options=ProbeOptions(), clock=lambda: 0.0)
    probe.attach()
    probe._captures[0].parts._frequencies = None  # type: ignore[assignment]
    bare = [answer(model, "llama") for _ in range(7)]
    probe.close()
    assert all(torch.equal(one, bare[0]) for one in bare)
    last = [item for item in channel.drain() if hasattr(item, "errors") and not isinstance(item, StreamFacts)][-1]
    assert dict(last.errors) == {"rotary": 5}


def test_strict_raises_the_probes_own_errors(watch_model):
    model = causal("llama")
    seen = watch_model(model)
    seen.probe._captures[0].parts._frequencies = None
    with pytest.raises(AttributeError):
        answer(model, "llama")


def test_a_pass_left_by_an_interrupt_does_not_swallow_the_next(watch_model):
    model = causal("opt")
    seen = watch_model(model)
    layer = model.model.decoder.layers[0]
    handle = layer.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        model(input_ids=tokens(1, 4))
    handle.remove()
    model(input_ids=tokens(1, 4))
    assert len(seen.passes) == 1
    assert seen.passes[0].rows[0].first_offset == 2


def test_a_model_that_calls_itself_is_one_pass(watch_model):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(64, 8)

        def forward(self, tokens, again=True):
            return self(tokens, again=False) if again else self.embed(tokens)

    model = Twice()
    seen = watch_model(model)
    model(tokens(1, 3))
    model(tokens(1, 3))
    assert len(seen.passes) == 2


def test_threads_do_not_mix_their_passes(watch_model):
    model = causal("gpt2")
    seen = watch_model(model)
    barrier = threading.Barrier(4)

    def work(length: int) -> None:
        barrier.wait()
        with torch.no_grad():
            for _ in range(10):
                model(input_ids=tokens(2, length), position_ids=length + torch.arange(length)[None])

    threads = [threading.Thread(target=work, args=(length,)) for length in (3, 5, 7, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    facts = seen.passes
    assert len(facts) == 40
    assert len({item.pass_number for item in facts}) == 40
    for item in facts:
        assert [(row.real, row.first_position) for row in item.rows] == [(item.queries, item.queries)] * 2


def test_a_compiled_model_stays_compiled_and_says_what_cannot_be_seen(watch_model):
    torch._dynamo.reset()
    model = causal("llama")
    compiled = torch.compile(model, backend="eager")
    bare = compiled(input_ids=tokens(2, 5), use_cache=False).logits
    seen = watch_model(compiled)
    for _ in range(2):
        assert torch.equal(compiled(input_ids=tokens(2, 5), use_cache=False).logits, bare)
    facts = seen.passes
    assert len(facts) == 2
    assert facts[-1].rows[0].real == 5
    assert "positions" not in facts[-1].seen or facts[-1].rows[0].first_offset == 0
    torch._dynamo.reset()


def test_watched_first_and_compiled_later_gives_the_same_answers(watch_model):
    torch._dynamo.reset()
    model = causal("gpt2")
    bare = model(input_ids=tokens(2, 5), use_cache=False).logits
    watch_model(model)
    compiled = torch.compile(model, backend="eager")
    for _ in range(3):
        torch.testing.assert_close(compiled(input_ids=tokens(2, 5), use_cache=False).logits, bare)
    torch._dynamo.reset()


def test_data_parallel_is_watched_inside(watch_model):
    model = causal("gpt2")
    seen = watch_model(nn.DataParallel(model))
    nn.DataParallel(model)(input_ids=tokens(2, 5))
    model(input_ids=tokens(2, 5))
    assert [facts.rows[0].real for facts in seen.passes] == [5, 5]


def test_a_cast_after_the_watch_began_is_audited_again(watch_model):
    model = causal("llama")
    seen = watch_model(model)
    assert seen.attached[0].deviations == ()
    model.to(torch.bfloat16)
    answer(model, "llama")
    assert [found.what for found in seen.attached[-1].deviations] == ["dtype"]
    assert len(seen.attached) == 2


def test_callers_buffers_may_change_as_soon_as_the_call_returned(watch_model):
    model = causal("llama")
    seen = watch_model(model)
    ids, mask = left_padded(6, 2)
    model(input_ids=ids, attention_mask=mask)
    ids.zero_()
    mask.zero_()
    assert seen.passes[0].rows[1].left_pads == 4
    assert seen.passes[0].rows[0].real == 6


def test_passes_that_nobody_fetches_are_dropped_and_counted():
    model = causal("llama")
    channel = Channel(10_000)
    probe = Probe(model, model_id=1, channel=channel, options=ProbeOptions(attention_rate=0), clock=lambda: 0.0)
    probe.attach()
    pending = probe._arrivals.waiting
    model(input_ids=tokens(1, 1))
    pending.extend([pending[0]] * 1023)
    model(input_ids=tokens(1, 1))
    probe.close()
    health = [item for item in channel.drain(10_000) if hasattr(item, "dropped")][-1]
    assert dict(health.dropped) == {"queue_full": 1}


def test_passes_are_numbered_as_they_end_whichever_began_first(watch_model):
    model, began, ended = causal("llama"), threading.Event(), threading.Event()
    seen, plain = watch_model(model), model.model.forward

    def waiting(*args, **kwargs):
        if threading.current_thread() is slow:
            began.set()
            assert ended.wait(30)
        return plain(*args, **kwargs)

    slow = threading.Thread(target=lambda: model(input_ids=tokens(1, 3)))
    model.model.forward = waiting
    slow.start()
    assert began.wait(30)
    model(input_ids=tokens(1, 4))
    ended.set()
    slow.join(30)
    assert [(facts.queries, facts.pass_number) for facts in seen.passes] == [(4, 1), (3, 2)]


def test_passes_that_found_no_room_leave_a_gap(watch_model, monkeypatch):
    monkeypatch.setattr("locant.probe.arrivals._WAITING", 2)
    model = causal("llama")
    seen = watch_model(model)
    for _ in range(5):
        model(input_ids=tokens(1, 3))
    assert [facts.pass_number for facts in seen.passes] == [1, 2]
    model(input_ids=tokens(1, 3))
    assert [facts.pass_number for facts in seen.passes] == [1, 2, 6]


def test_canary_passes_are_left_out(watch_model):
    model = causal("llama")
    seen = watch_model(model)
    with excluded():
        model(input_ids=tokens(1, 3))
    model(input_ids=tokens(1, 4))
    assert [facts.queries for facts in seen.passes] == [4]


def test_streams_pass_through_and_are_counted(watch_model):
    seen = watch_model(causal("llama"))
    assert list(seen.probe.stream("abc")) == ["a", "b", "c"]

    def broken():
        yield 1
        raise TimeoutError

    with pytest.raises(TimeoutError):
        list(seen.probe.stream(broken()))
    left = seen.probe.stream(iter(range(9)))
    next(left)
    left.close()
    whole, failed, early = seen.all(StreamFacts)
    assert (whole.chunks, whole.errors, failed.chunks, failed.error, early.errors) == (3, 0, 1, "TimeoutError", 0)


def test_two_watches_on_one_model_do_not_disturb_each_other(watch_model):
    model = causal("gpt2")
    one, other = watch_model(model), watch_model(model)
    answer(model, "gpt2")
    one.probe.close()
    answer(model, "gpt2")
    assert (len(one.all(ForwardFacts)), len(other.all(ForwardFacts))) == (1, 2)


def test_what_is_no_module_is_refused():
    with pytest.raises(ModelError):
        Probe([1, 2], model_id=1, channel=Channel())  # type: ignore[arg-type]


def test_a_model_compiled_in_place_is_watched_around_the_compiled_call(watch_model):
    torch._dynamo.reset()
    model = causal("llama")
    model.compile(backend="eager")
    compiled = model._compiled_call_impl
    bare = model(input_ids=tokens(2, 5), use_cache=False).logits
    seen = watch_model(model)
    assert torch.equal(model(input_ids=tokens(2, 5), use_cache=False).logits, bare)
    assert len(seen.passes) == 1
    seen.probe.close()
    assert model._compiled_call_impl is compiled
    torch._dynamo.reset()


def test_hooks_leave_the_compilers_graph_whole(watch_model):
    torch._dynamo.reset()
    graphs = []

    def backend(graph, examples):
        graphs.append(graph)
        return graph.forward

    model = causal("llama")
    watch_model(model)
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    for _ in range(2):
        compiled(input_ids=tokens(2, 5), use_cache=False)
    assert len(graphs) == 1
    torch._dynamo.reset()


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bert"])
def test_a_model_that_is_compiled_after_the_watch_began_is_watched_around_its_graph(watch_model, kind):
    torch._dynamo.reset()
    graphs = []

    def backend(graph, examples):
        graphs.append(graph)
        return graph.forward

    model = tiny(kind, MODELS.get(kind, "AutoModelForCausalLM"))
    more = {} if kind == "bert" else {"use_cache": False}
    bare = model(input_ids=tokens(2, 5), **more).logits
    seen = watch_model(model)
    model(input_ids=tokens(2, 5), **more)
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    for _ in range(3):
        torch.testing.assert_close(compiled(input_ids=tokens(2, 5), **more).logits, bare)
    assert len(graphs) == 1
    assert [facts.rows[0].real for facts in seen.passes] == [5] * 4
    assert "attention" in seen.passes[0].seen
    assert all("attention" not in facts.seen for facts in seen.passes[1:])
    seen.probe.close()
    assert not [hook for hook in torch._dynamo.config.ignore_logging_functions if hasattr(hook, "guard")]
    torch._dynamo.reset()


def test_hooks_of_a_pass_vanish_inside_of_a_larger_graph(watch_model):
    torch._dynamo.reset()
    inner = causal("gpt2")
    seen = watch_model(inner)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, ids):
            return self.inner(input_ids=ids, use_cache=False).logits * 2

    outer = torch.compile(Outer(), backend="eager", fullgraph=True)
    torch.testing.assert_close(outer(tokens(2, 5)), inner(input_ids=tokens(2, 5), use_cache=False).logits * 2)
    assert len(seen.passes) == 1
    torch._dynamo.reset()


def test_a_model_compiled_in_place_after_the_watch_began_is_wrapped_within_a_second(watch_model):
    torch._dynamo.reset()
    model = causal("llama")
    seen = watch_model(model)
    model.compile(backend="eager")
    compiled = model._compiled_call_impl
    seen.probe._next_slow = 0.0
    seen.probe.poll()
    model(input_ids=tokens(2, 5), use_cache=False)
    assert [facts.rows[0].real for facts in seen.passes] == [5]
    seen.probe.close()
    assert model._compiled_call_impl is compiled
    torch._dynamo.reset()
