"""Results travel as one buffer, and come out as they went in."""

from __future__ import annotations

import ctypes

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from locant.probe import graphs
from locant.probe.transfer import Shipment, pack, unpack

KINDS = (torch.bool, torch.uint8, torch.bfloat16, torch.float16, torch.float32, torch.int64, torch.float64)


@st.composite
def named_tensors(draw: st.DrawFn) -> dict[str, torch.Tensor]:
    """A few tensors of any type and shape, some of them views."""
    found = {}
    for name in draw(st.lists(st.text("abc.", min_size=1, max_size=4), min_size=1, max_size=6, unique=True)):
        shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
        values = torch.randint(0, 2, (*shape, 2), generator=torch.Generator().manual_seed(len(found)))
        found[name] = values.to(draw(st.sampled_from(KINDS)))[..., 1]
    return found


@given(named_tensors())
def test_a_buffer_holds_every_tensor_bit_for_bit(tensors: dict[str, torch.Tensor]) -> None:
    packed = pack(tensors)
    assert packed.flat.numel() == sum(one.numel() * one.element_size() for one in tensors.values())
    found = unpack(packed)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_a_buffer_shares_no_memory_with_what_the_model_goes_on_writing_to() -> None:
    cache = torch.zeros(4)
    packed = pack({"keys": cache[1:3]})
    cache.fill_(7)
    assert unpack(packed)["keys"].tolist() == [0, 0]


def test_on_the_cpu_nothing_is_under_way() -> None:
    shipment = Shipment({"a": torch.ones(2)})
    assert shipment.arrived
    assert shipment.arrive()["a"].tolist() == [1, 1]


class Driver:
    """The one call of the CUDA driver that is used, and the mode that the calling thread is in."""

    def __init__(self) -> None:
        self.mode = 0
        self.seen: list[int] = []

    def cuThreadExchangeStreamCaptureMode(self, given_mode: ctypes._Pointer) -> int:
        wanted = ctypes.cast(given_mode, ctypes.POINTER(ctypes.c_int))
        self.mode, wanted[0] = wanted[0], self.mode
        self.seen.append(self.mode)
        return 0


def test_a_thread_ignores_the_captures_of_others_only_while_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    monkeypatch.setattr(graphs, "_library", lambda: driver)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with graphs.beside_captures():
        assert driver.mode == 1
    assert driver.seen == [1, 0]


def test_without_a_driver_nothing_is_exchanged() -> None:
    with graphs.beside_captures():
        pass
