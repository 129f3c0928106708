"""The bodies of the hooks on positional parts: the positions in use, the mask that arrives, cos and sin as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from locant.observation import ModelProfile
from locant.probe import families as fam
from locant.probe.alibi import bias_rows
from locant.probe.buckets import BucketRule, bucket_rule, positions_from_buckets, wrong_buckets
from locant.probe.call import keep_mask
from locant.probe.lookups import LookupMode
from locant.probe.memory import EncoderMemory
from locant.probe.passes import Pass, PassSlot
from locant.probe.references import Frequency, frequency_book, held_frequencies, identity
from locant.probe.rotary import compare, parameters_hash, waves
from locant.probe.structure import Unit, inv_freq_names, text_config


class PartHooks:
    """Hook bodies for the parts of one unit. They write into the pass that their thread is in, and into nothing else.

    `changed` is set when a frequency tensor was replaced or written to: the model wants a new audit.
    """

    def __init__(self, unit: Unit, profile: ModelProfile, slot: PassSlot, memory: EncoderMemory) -> None:
        self.changed = False
        self._profile = profile
        self._slot = slot
        self._config = text_config(unit.module)
        self._encodes = unit.encoder or profile.kind == fam.ENCODER
        self._memory = memory
        self._frequencies = frequency_book(unit)

    def table_indices(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook of a plain table: the argument is the index."""
        state = self._slot.current
        index = args[0] if args else kwargs.get("input")
        if state is None or not isinstance(index, Tensor):
            return
        if state.positions is None or _is_one_beside_many(state.positions, index):
            state.positions = index

    def table_opens(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook of a table that computes its indices."""
        slot = self._slot
        if slot.current is not None and slot.current.positions is None and slot.mode is None:
            slot.open_mode(LookupMode(module))

    def table_closes(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """Forward hook of such a table, whether it raised or not."""
        state, mode = self._slot.current, self._slot.close_mode()
        if state is not None and isinstance(mode, LookupMode):
            state.positions = mode.index

    def buckets(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook of a relative bias embedding: distance buckets [Q, K]."""
        state = self._slot.current
        if state is None or not args:
            return
        with torch.no_grad():
            if state.positions is None:
                state.positions = positions_from_buckets(args[0], state.call.queries)
        look = state.rotary_look if state.wrong_buckets is None else None
        rule = self._rule(module) if look is not None else None
        if look is not None and rule is not None:
            with look.running(state.call.device), torch.no_grad():
                state.wrong_buckets = wrong_buckets(args[0], state.call.queries, rule)

    def _rule(self, module: nn.Module) -> BucketRule | None:
        count = getattr(module, "num_embeddings", 0)
        return bucket_rule(self._config, count, two_way=self._encodes)

    def bias(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook of the first layer in an ALiBi family."""
        state = self._slot.current
        if state is not None and state.bias is None:
            state.bias = bias_rows(kwargs.get("alibi", kwargs.get("position_bias")), self._profile.heads)
            state.rotary_seen = state.rotary_seen or state.bias is not None

    def positions_of_block(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook of the first layer in a model without a positional module that we know: layers are told."""
        state, given = self._slot.current, kwargs.get("position_ids")
        if state is not None and state.positions is None and isinstance(given, Tensor):
            state.positions = given

    def padding(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook of torch's own encoder or decoder stack: the mask that really arrives there."""
        state = self._slot.current
        given = kwargs.get("src_key_padding_mask", kwargs.get("tgt_key_padding_mask"))
        if state is not None and state.padding_mask is None and isinstance(given, Tensor) and given.dim() == 2:
            state.padding_mask = keep_mask(given)

    def encoded(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        """Forward hook of torch's own encoder stack: its output, and which of it is padding."""
        given = kwargs.get("src_key_padding_mask")
        if self._slot.current is not None and isinstance(given, Tensor):
            self._memory.remember(output, keep_mask(given))

    def recalled(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Pre-hook of torch's own decoder stack: the encoder's output that it attends to, under which mask."""
        state, given = self._slot.current, kwargs.get("memory_key_padding_mask")
        if state is not None and state.open_memory is None:
            hidden = args[1] if len(args) > 1 else kwargs.get("memory")
            with torch.no_grad():
                state.open_memory = self._memory.open_pads(
                    hidden, keep_mask(given) if isinstance(given, Tensor) else None
                )

    def rotary(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        """Forward hook of a rotary module: positions in, cos and sin out."""
        state = self._slot.current
        positions = kwargs.get("position_ids", args[1] if len(args) > 1 else None)
        if state is None or not isinstance(positions, Tensor) or positions.is_floating_point():
            return
        state.rotary_seen = True
        if state.positions is None:
            state.positions = positions
        layer_type = kwargs.get("layer_type", args[2] if len(args) > 2 else None)
        name = f"{layer_type}_inv_freq" if isinstance(layer_type, str) else "inv_freq"
        known = self._frequencies.get((id(module), name)) or self._frequencies.get((id(module), ""))
        if known is None:
            return
        look = state.rotary_look
        if look is None:
            if known.volatile or self.changed or not known.stays(module):
                self._look_at_frequencies(state, module, known)
            return
        with look.running(state.call.device), torch.no_grad():
            self._look_at_frequencies(state, module, known)
            _look_at_waves(state, module, positions, output, known)

    def _look_at_frequencies(self, state: Pass, module: nn.Module, known: Frequency) -> None:
        """Hash the frequencies when they may change, when a pass is sampled and when the tensor is another one."""
        if state.hashed:
            return
        tensors = [getattr(module, name) for name in inv_freq_names(module)]
        if not tensors:
            return
        if not known.volatile and identity(tensors[0]) != known.identity:
            known.identity = identity(tensors[0])
            self.changed = True
        if known.volatile or self.changed or state.rotary_look is not None:
            with torch.no_grad():
                state.hashed = (parameters_hash(tensors),)


def _is_one_beside_many(first: Tensor, later: Tensor) -> bool:
    """Whether a table was asked for a single place, such as a class token's, and then for those of the tokens."""
    return bool(first.dim() and later.dim() and first.shape[-1] == 1 < later.shape[-1])


def _look_at_waves(state: Pass, module: nn.Module, positions: Tensor, output: Any, known: Frequency) -> None:
    found = waves(positions, output)
    result = compare(found, known.reference, held_frequencies(module)) if found is not None else None
    if found is not None and result is not None:
        state.rotary += (result,)
        state.rotary_dtype = str(found.cos.dtype).removeprefix("torch.")
