"""Results on their way from the device to the host: copied behind the pass, picked up by the agent's thread.

On CUDA what a pass sends is packed into one buffer on the model's stream, by one kernel for each type of numbers: after
that the model may write over its caches and masks. The copy to the host runs on a side stream, which waits for the
model's and never the other way round. The buffer is held here until the copy is over, so that nothing else is put in
its place meanwhile; no `record_stream` is needed, and freeing it is no call to the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from locant.probe.attention.contract import LayerStatistics
from locant.probe.device_clock import DeviceClock
from locant.probe.timing import give_event, take_event


class Shipment:
    """Named tensors under way. On CUDA: a parcel from each device; on the CPU: the tensors themselves.

    Other accelerators have no queryable copy: their tensors wait as they are and are fetched by `arrive`, which
    then waits for the device, on the agent's thread.
    """

    __slots__ = ("_parcels", "_tensors")

    def __init__(self, tensors: Mapping[str, Tensor], clock: DeviceClock | None = None) -> None:
        """Under way at once. `clock` is stopped when everything is packed; the copy of its device waits for that."""
        self._tensors = {name: tensor for name, tensor in tensors.items() if not tensor.is_cuda}
        packed = {
            device: pack({name: tensor for name, tensor in tensors.items() if tensor.device == device})
            for device in {tensor.device for tensor in tensors.values() if tensor.is_cuda}
        }
        if clock is not None:
            clock.stop()
        self._parcels = [
            _Parcel(parcel, device, clock.end if clock is not None and clock.device == device else None)
            for device, parcel in packed.items()
        ]

    @property
    def arrived(self) -> bool:
        """Whether `arrive` would answer at once."""
        return all(parcel.arrived for parcel in self._parcels)

    def arrive(self) -> dict[str, Tensor]:
        """The tensors on the host."""
        found = {name: tensor.cpu() for name, tensor in self._tensors.items()}
        for parcel in self._parcels:
            found |= parcel.open()
        return found


@dataclass(frozen=True, slots=True)
class Packed:
    """Tensors as bytes, one behind the other, those of the widest numbers first so that each begins where it may."""

    flat: Tensor
    places: tuple[tuple[str, torch.dtype, torch.Size], ...]


def pack(tensors: Mapping[str, Tensor]) -> Packed:
    """The tensors, which are on one device, in a buffer of their own."""
    kinds: dict[torch.dtype, list[tuple[str, Tensor]]] = {}
    for name, tensor in tensors.items():
        kinds.setdefault(tensor.dtype, []).append((name, tensor))
    widest_first = sorted(kinds.values(), key=lambda named: -named[0][1].element_size())
    flat = [torch.cat([tensor.detach().reshape(-1) for _, tensor in named]) for named in widest_first]
    places = tuple((name, tensor.dtype, tensor.shape) for named in widest_first for name, tensor in named)
    buffers = [one.view(torch.uint8) for one in flat]
    return Packed(buffers[0] if len(buffers) == 1 else torch.cat(buffers), places)


def unpack(packed: Packed) -> dict[str, Tensor]:
    """The tensors again, as views of the buffer."""
    found, start = {}, 0
    for name, dtype, shape in packed.places:
        stop = start + shape.numel() * dtype.itemsize
        found[name] = packed.flat[start:stop].view(dtype).view(shape)
        start = stop
    return found


class _Parcel:
    """What one CUDA device sends."""

    __slots__ = ("_device", "_event", "_host", "_packed")

    def __init__(self, packed: Packed, device: torch.device, packed_by: Any) -> None:
        """`packed_by`: an event of the model's stream after the packing; None makes one."""
        self._packed = packed
        host = torch.empty(packed.flat.shape, dtype=torch.uint8, pin_memory=True)
        self._host = Packed(host, packed.places)
        self._device = device
        self._event = take_event(device, timing=False)
        side = side_stream(device)
        if packed_by is not None:
            side.wait_event(packed_by)
        else:
            side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            host.copy_(packed.flat, non_blocking=True)
        self._event.record(side)

    @property
    def arrived(self) -> bool:
        return bool(self._event.query())

    def open(self) -> dict[str, Tensor]:
        """Once only: its event goes to the next one."""
        give_event(self._device, self._event, timing=False)
        return unpack(self._host)


_streams: dict[torch.device, Any] = {}
"""One side stream for each device: torch has 32 for everybody, and hands out the same ones again after that."""


def side_stream(device: torch.device) -> Any:
    """The stream that results leave this device on."""
    stream = _streams.get(device)
    if stream is None:
        make: Any = torch.cuda.Stream
        stream = _streams.setdefault(device, make(device))
    return stream


def attention_tensors(layers: Sequence[LayerStatistics]) -> dict[str, Tensor]:
    """Everything of the layers' statistics that must reach the host, as "index.field"."""
    fields = ("sums", "rows", "padded_rows", "padding_mass_largest", "visibility", "heat", "heat_rows")
    pairs = ((f"{i}.{field}", getattr(layer, field)) for i, layer in enumerate(layers) for field in fields)
    return {name: value for name, value in pairs if isinstance(value, Tensor)}
