"""Results on their way from the device to the host: copied behind the pass, picked up by the agent's thread.

On CUDA what a pass sends is packed into one buffer on the model's stream, by one kernel: after that the model may write
over its caches and masks. The copy to the host runs on a side stream, which waits for the model's and never the other
way round. The buffer is held here until the copy is over, so that nothing else is put in its place meanwhile; no
`record_stream` is needed, and freeing it is no call to the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from locant.probe.attention.contract import LayerStatistics
from locant.probe.timing import cuda_event


class Shipment:
    """Named tensors under way. On CUDA: a parcel from each device; on the CPU: the tensors themselves.

    Other accelerators have no queryable copy: their tensors wait as they are and are fetched by `arrive`, which
    then waits for the device, on the agent's thread.
    """

    __slots__ = ("_parcels", "_tensors")

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = {name: tensor for name, tensor in tensors.items() if not tensor.is_cuda}
        devices = {tensor.device for tensor in tensors.values() if tensor.is_cuda}
        self._parcels = [
            _Parcel({name: tensor for name, tensor in tensors.items() if tensor.device == device}, device)
            for device in devices
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
    named = sorted(tensors.items(), key=lambda item: -item[1].element_size())
    flat = torch.cat([_bytes_of(tensor) for _, tensor in named])
    return Packed(flat, tuple((name, tensor.dtype, tensor.shape) for name, tensor in named))


def unpack(packed: Packed) -> dict[str, Tensor]:
    """The tensors again, as views of the buffer."""
    found, start = {}, 0
    for name, dtype, shape in packed.places:
        stop = start + shape.numel() * dtype.itemsize
        found[name] = packed.flat[start:stop].view(dtype).view(shape)
        start = stop
    return found


def _bytes_of(tensor: Tensor) -> Tensor:
    flat = tensor.detach().reshape(-1).contiguous()
    if flat.stride(0) != 1:  # of one element or none, which torch calls contiguous whatever its stride
        flat = flat.as_strided(flat.shape, (1,))
    return flat.view(torch.uint8)


class _Parcel:
    """What one CUDA device sends."""

    __slots__ = ("_event", "_host", "_packed")

    def __init__(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        self._packed = pack(tensors)
        host = torch.empty(self._packed.flat.shape, dtype=torch.uint8, pin_memory=True)
        self._host = Packed(host, self._packed.places)
        self._event = cuda_event()
        side = side_stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            host.copy_(self._packed.flat, non_blocking=True)
        self._event.record(side)

    @property
    def arrived(self) -> bool:
        return bool(self._event.query())

    def open(self) -> dict[str, Tensor]:
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
