"""What is replaced while a pass is armed is back in every case: after errors, for two models, in threads."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
import torch
from torch import nn

from locant.probe.attention import seams
from locant.probe.attention.capture import AttentionCapture
from locant.probe.attention.contract import LayerStatistics
from locant.probe.profile import describe
from probe.attention.capturing import plain_context


def attributes(flash: Any, *models: nn.Module) -> list[Any]:
    """Every attribute through which attention can be met here."""
    from torch.nn.attention import flex_attention

    package = sys.modules["flash_attn"]
    places = [
        *seams.FUNCTIONS,
        *((package, name) for name in vars(package) if name.endswith("_func")),
        *((package.flash_attn_interface, name) for name in vars(package) if name.endswith("_func")),
        *((flash, name) for name in ("flash_attn_func", "varlen", "flash_attn_with_kvcache")),
        (flex_attention, "flex_attention"),
        *((model, "kernel") for model in models),
    ]
    return [getattr(owner, name) for owner, name in places]


def capture_of(model: nn.Module) -> AttentionCapture:
    """A capture that looks at every row."""
    return AttentionCapture(model, describe(model), 10**6, (0,))


def test_between_armed_passes_nothing_is_replaced_and_nothing_is_called(
    flash: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = flash.KeptInstance(causal=True)
    before = attributes(flash, model)
    capture, x = capture_of(model), torch.randn(2, 6, 16)
    assert attributes(flash, model) == before
    capture.arm(plain_context(2, 6), lambda _: None)
    assert not set(map(id, attributes(flash, model))) & set(map(id, before))
    capture.disarm()
    assert attributes(flash, model) == before
    entered = []
    sys.setprofile(lambda frame, event, _: entered.append(frame.f_code.co_filename) if event == "call" else None)
    model(x)
    sys.setprofile(None)
    assert [name for name in entered if "locant" in name and "doubles" not in name] == []
    assert any("doubles" in name for name in entered)


def test_an_error_in_the_forward_leaves_everything_as_it_was(flash: Any, watch_model: Any) -> None:
    model = flash.Named(causal=True)
    before = attributes(flash)
    seen = watch_model(model, attention_rate=1.0)
    for wrong in (torch.randn(2, 6, 7), torch.randn(2, 6)):
        with pytest.raises(RuntimeError):
            model(wrong)
        assert attributes(flash) == before
    model(torch.randn(2, 6, 16))
    assert attributes(flash) == before
    assert [facts.error for facts in seen.passes if "attention" in facts.seen] == [""]


def test_an_error_of_the_kernel_itself_reaches_the_model_and_nothing_else(flash: Any, watch_model: Any) -> None:
    model = flash.Named(causal=True, dropout_p=0.5)
    before = attributes(flash)
    watch_model(model, attention_rate=1.0)
    with pytest.raises(AssertionError, match="double does not do this"):
        model(torch.randn(2, 6, 16))
    assert attributes(flash) == before


def test_two_watched_models_share_the_places_and_the_last_one_restores_them(flash: Any) -> None:
    one, two = flash.KeptInstance(causal=True), flash.Named(causal=True)
    before = attributes(flash, one)
    first, second = capture_of(one), capture_of(two)
    found: dict[str, list[LayerStatistics]] = {"one": [], "two": []}
    first.arm(plain_context(2, 6), found["one"].append)
    second.arm(plain_context(2, 6), found["two"].append)
    first.close()
    two(torch.randn(2, 6, 16))
    second.disarm()
    assert attributes(flash, one) == before
    assert (len(found["one"]), len(found["two"])) == (0, 1)


def test_a_model_watched_while_another_is_armed_is_met_all_the_same(flash: Any) -> None:
    one, two = flash.Named(causal=True), flash.Named(causal=True)
    before = attributes(flash)
    first = capture_of(one)
    first.arm(plain_context(2, 6), lambda _: None)
    second = capture_of(two)
    first.close()
    found: list[LayerStatistics] = []
    second.arm(plain_context(2, 6), found.append)
    two(torch.randn(2, 6, 16))
    second.close()
    assert len(found) == 1
    assert attributes(flash) == before


def test_every_thread_sees_its_own_passes_and_only_those(flash: Any) -> None:
    models = [flash.Named(causal=True) for _ in range(4)]
    before, x = attributes(flash), torch.randn(2, 6, 16)
    counts = [0] * 4
    start = threading.Barrier(4)

    def serve(number: int) -> None:
        capture = capture_of(models[number])
        start.wait()
        for turn in range(20):
            found: list[LayerStatistics] = []
            if (turn + number) % 2:
                capture.arm(plain_context(2, 6), found.append)
            with torch.no_grad():
                models[number](x)
            capture.disarm()
            counts[number] += len(found) if (turn + number) % 2 else 100 * len(found)
        capture.close()

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [10] * 4
    assert attributes(flash) == before


def test_a_place_that_is_gone_when_a_pass_is_armed_does_no_harm(flash: Any) -> None:
    model = flash.KeptInstance(causal=True)
    capture, found = capture_of(model), list[LayerStatistics]()
    model.kernel = flash.flash_attn.flash_attn_func
    del flash.varlen
    capture.arm(plain_context(2, 6), found.append)
    model(torch.randn(2, 6, 16))
    capture.close()
    assert len(found) == 1
    assert not hasattr(flash, "varlen")


def test_a_place_that_cannot_be_replaced_leaves_all_others_as_they_were(flash: Any) -> None:
    class Frozen(flash.KeptInstance):  # type: ignore[misc]
        """Refuses every change after it was made."""

        def __setattr__(self, name: str, value: Any) -> None:
            if "kernel" in vars(self):
                raise AttributeError("frozen")
            super().__setattr__(name, value)

    model = Frozen(causal=True)
    before = attributes(flash, model)
    capture = capture_of(model)
    with pytest.raises(AttributeError, match="frozen"):
        capture.arm(plain_context(2, 6), lambda _: None)
    assert attributes(flash, model) == before
    capture.close()
    assert attributes(flash, model) == before
