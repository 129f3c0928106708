"""The key-value cache handed to a call: which one it is, how long, how large; read without waiting for the device."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Sequence
from typing import Any

from torch import Tensor

CACHE_NAMES = ("cache", "past_key_values")
"""What models call their cache, as an argument and in their output: transformers 5.24 took the first name."""
_TAG = "_locant_cache_id"
"""An integer on the cache object: a copy carries its parent's number, which is how lineage is seen."""


class CacheBook:
    """Numbers for cache objects, stable for as long as an object lives. `close` takes every tag off again."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._owners: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

    def identify(self, cache: Any) -> tuple[int, int]:
        """(number of this cache, number of the one it was copied from); (0, 0) for no cache, parent 0 for a fresh one.

        Tuples of tensors, the old format, are told by their first key tensor.
        """
        owner = _owner(cache)
        if owner is None:
            return 0, 0
        tag = getattr(owner, _TAG, 0)
        if tag and self._owners.get(tag) is owner:
            return tag, 0
        return self._enter(owner), tag

    def inherit(self, cache: Any, number: int) -> None:
        """Let the cache that a call returned be the one it was given: old formats return a new tuple every time."""
        owner = _owner(cache)
        if owner is not None and number and self._owners.get(getattr(owner, _TAG, 0)) is not owner:
            self._enter(owner, number)

    def close(self) -> None:
        """Remove every tag."""
        for owner in list(self._owners.values()):
            if hasattr(owner, _TAG):
                delattr(owner, _TAG)
        self._owners.clear()

    def _enter(self, owner: Any, number: int = 0) -> int:
        number = number or next(self._numbers)
        try:
            setattr(owner, _TAG, number)
            self._owners[number] = owner
        except (AttributeError, TypeError):
            return 0
        return number


def _owner(cache: Any) -> Any:
    """The object whose life is the cache's: itself, or the first key tensor of a tuple."""
    if not isinstance(cache, (tuple, list)):
        return cache
    first = cache[0] if cache else None
    while isinstance(first, (tuple, list)):
        first = first[0] if first else None
    return first if isinstance(first, Tensor) else None


def _is_key_values(value: Any) -> bool:
    """Whether this is a cache as plain models keep it: per layer two tensors of one shape, [..., tokens, width]."""
    first = value[0] if isinstance(value, (tuple, list)) and value else None
    if not isinstance(first, (tuple, list)) or len(first) < 2:
        return False
    key, other = first[0], first[1]
    return isinstance(key, Tensor) and isinstance(other, Tensor) and key.dim() >= 3 and key.shape == other.shape


def returned_cache(output: Any) -> Any:
    """The cache in a call's output, by the field that it really has: asking by an older name is warned of."""
    kind: Any = type(output)
    name = _field(kind)
    found = getattr(output, name, None) if name else None
    if found is None and isinstance(output, (tuple, list)):
        found = next((item for item in output if hasattr(item, "get_seq_length") or _is_key_values(item)), None)
    return found


@functools.lru_cache(maxsize=256)
def _field(kind: type) -> str:
    """What a kind of output calls its cache; "" where it has none."""
    names = getattr(kind, "__dataclass_fields__", ("past_key_values",))
    return next((name for name in CACHE_NAMES if name in names), "")


def cache_length(cache: Any) -> int | Tensor | None:
    """Tokens in the cache before the call: an int, a copied 0-d tensor where the device counts, None if unknown."""
    if cache is None:
        return 0
    if isinstance(cache, (tuple, list)):
        first = _owner(cache)
        return int(first.shape[-2]) if isinstance(first, Tensor) and first.dim() >= 2 else None
    own = getattr(cache, "self_attention_cache", cache)
    layers = getattr(own, "layers", None)
    if layers is not None:
        return _layers_length(layers)
    getter = getattr(own, "get_seq_length", None)
    return _plain(getter()) if callable(getter) else None


def _layers_length(layers: Any) -> int | Tensor | None:
    found: int | Tensor | None = 0 if not len(layers) else None
    for layer in itertools.islice(layers, 4):
        getter = getattr(layer, "get_seq_length", None)
        if callable(getter):
            found = _plain(getter())
            if isinstance(found, int):
                return found
    return found


def _plain(length: Any) -> int | Tensor | None:
    if isinstance(length, int):
        return length
    if isinstance(length, Tensor) and length.numel() == 1:
        return int(length) if length.device.type == "cpu" else length.detach().reshape(()).clone()
    return None


def cache_bytes(cache: Any) -> int:
    """Bytes that a cache's keys and values take, allocated ones included; 0 where they cannot be seen."""
    own = getattr(cache, "self_attention_cache", cache)
    layers = getattr(own, "layers", None)
    if layers is None:
        pairs = own if isinstance(own, (tuple, list)) else ()
        return sum(_bytes(t) for pair in pairs if isinstance(pair, (tuple, list)) for t in pair[:2])
    count = len(layers)
    if not count:
        return 0
    if type(layers[0]) is type(layers[count // 2]) is type(layers[-1]):
        return _alike_bytes(layers)
    kinds: dict[type, list[Any]] = {}
    for layer in layers:
        kinds.setdefault(type(layer), []).append(layer)
    return sum(map(_alike_bytes, kinds.values()))


def _alike_bytes(layers: Sequence[Any]) -> int:
    """Of layers of one kind, which are as large as the first where that is as large as the last."""
    first = _layer_bytes(layers[0])
    alike = len(layers) == 1 or first == _layer_bytes(layers[-1])
    return first * len(layers) if alike else sum(map(_layer_bytes, layers))


def _layer_bytes(layer: Any) -> int:
    return _bytes(getattr(layer, "keys", None)) + _bytes(getattr(layer, "values", None))


def _bytes(tensor: Any) -> int:
    return tensor.nbytes if isinstance(tensor, Tensor) else 0
