"""One armed pass: which rows are looked at, what each layer's call shows of them, and what goes to the sink."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from locant.observation import ModelProfile
from locant.probe.attention.calls import Attention
from locant.probe.attention.contract import STATISTICS, LayerStatistics, PassContext, Sink
from locant.probe.attention.engine import heat_map, row_statistics
from locant.probe.attention.fastest import Engine
from locant.probe.attention.forms import Forms, form_of
from locant.probe.attention.layout import Layout, lay_out
from locant.probe.attention.limits import limits_of
from locant.probe.attention.rows import Rows
from locant.probe.attention.strata import sample_rows, structural_rows
from locant.probe.attention.visibility import Geometry, judge
from locant.probe.geometry import keeps_summaries, layer_window

PREFIX_FAMILIES = frozenset({"paligemma", "colpali", "pi0"})
"""Families whose whole prompt may look both ways although they decode causally."""

HEAT_BINS = 32
"""Sequences shorter than that get a map of half as many bins, so that none is empty; below a half there is none."""

_PADDING, _FUTURE, _LOG_SUM_EXP = map(STATISTICS.index, ("padding_mass", "future_mass", "log_sum_exp"))


@dataclass(frozen=True, slots=True)
class Plan:
    """`rows` per pass, the layers whose weights are computed, and the heads whose heat maps take turns (None: all).

    `maps`: how many of the layers get a heat map, those that are spread evenly over them; one for the one whose turn it
    is.
    """

    rows: int
    layers: frozenset[int]
    profile: ModelProfile
    heads: tuple[int, ...] | None = None
    maps: int = 1


@dataclass(frozen=True, slots=True)
class _Sample:
    """The rows of a pass; `counted` bool [N, R], `count` of them, and the `share` [N, R, 1] of the sums each takes.

    `none` and `nothing` are zeros, int64 and float32.
    """

    rows: Rows
    counted: Tensor
    count: Tensor
    share: Tensor
    none: Tensor
    nothing: Tensor
    _layouts: dict[int, tuple[Layout, Tensor]] = field(default_factory=dict)

    def among(self, context: PassContext, keys: int) -> tuple[Layout, Tensor]:
        """Where the rows stand among so many keys, and how many of them have padding among theirs."""
        found = self._layouts.get(keys)
        if found is None:
            layout, padded = lay_out(context, keys, self.rows), self.none
            if layout.padding is not None:
                padded = (layout.padding.any(1)[:, None] & self.counted).sum()
            found = self._layouts[keys] = layout, padded
        return found


def _sample(rows: Rows) -> _Sample:
    counted = rows.weights > 0
    count = counted.sum()
    share = rows.weights * (count / rows.weights.sum().clamp_min(1e-9))
    none = torch.zeros_like(count)
    return _Sample(rows, counted, count, share[:, :, None], none, none.float())


class PassProfiler:
    """Looks at the attention calls of one pass. Nothing is read back from the device."""

    def __init__(
        self,
        context: PassContext,
        plan: Plan,
        sink: Sink,
        engine: Engine = row_statistics,
        forms: Forms | None = None,
    ) -> None:
        self.context = context
        self.plan = plan
        self._sink = sink
        self._engine = engine
        self._forms = forms or Forms()
        self._sample: _Sample | None = None
        self._layouts: dict[tuple[int, int | None], tuple[Rows, Layout]] = {}
        self._judged: dict[Hashable, tuple[Tensor, Any]] = {}
        self._device: torch.device | None = None
        self._others: dict[torch.device, PassProfiler] = {}

    def look(
        self, layer: int, call: Attention, module: nn.Module | None, shape: tuple[Hashable, ...] | None, mask: Any
    ) -> None:
        """Judge and measure one layer. Calls of equal `shape`, `mask` and geometry are judged once; layers whose keys
        are no tokens not at all."""
        if keeps_summaries(module):
            return
        if call.device != self._device:
            if self._device is not None:
                self._elsewhere(call.device).look(layer, call, module, shape, mask)
                return
            self._device, self.context = call.device, self.context.on(call.device)
        geometry = self._geometry(module)
        chosen = layer in self.plan.layers
        if shape is None and not chosen:
            return
        key = (layer,) if shape is None else (*shape, call.keys, geometry)
        known = self._judged.get(key)
        if known is None:
            visibility = self._forms.find(
                form_of(call, self.context, geometry), lambda: self._visibility(call, geometry)
            )
            known = self._judged[key] = (visibility, mask)
        elif not chosen:
            return
        self._sink(
            self._statistics(layer, call, geometry, known[0]) if chosen else _structure_only(layer, call, known[0])
        )

    def in_context(self, context: PassContext, *, turned: bool = False) -> PassProfiler:
        """The same pass as its kernels see it. What is found in another number of rows is said of every sequence."""
        batch, sink = self.context.batch, self._sink

        def hand_over(found: LayerStatistics) -> None:
            everybody = found.visibility.amax(0, keepdim=True).expand(batch, -1)
            sink(replace(found, visibility=everybody, turned=turned))

        return self._like(context, hand_over if context.batch != batch else sink)

    def _elsewhere(self, device: torch.device) -> PassProfiler:
        """The same pass on another device, for a model whose layers are spread over several."""
        if device not in self._others:
            self._others[device] = self._like(self.context, self._sink)
        return self._others[device]

    def _like(self, context: PassContext, sink: Sink) -> PassProfiler:
        return PassProfiler(context, self.plan, sink, self._engine, self._forms)

    def _geometry(self, module: nn.Module | None) -> Geometry:
        profile = self.plan.profile
        two_way = profile.family in PREFIX_FAMILIES or getattr(module, "is_causal", True) is False
        return Geometry(layer_window(module, profile.window), self.context.causal and not two_way)

    def _visibility(self, call: Attention, geometry: Geometry) -> Tensor:
        found = self._layouts.get((call.keys, geometry.window))
        if found is None:
            rows = structural_rows(self.context, geometry.window, call.device)
            found = self._layouts[call.keys, geometry.window] = (rows, lay_out(self.context, call.keys, rows))
        return judge(call, *found, self.context, geometry)

    def _statistics(self, layer: int, call: Attention, geometry: Geometry, visibility: Tensor) -> LayerStatistics:
        if self._sample is None:
            self._sample = _sample(sample_rows(self.context, self.plan.rows, call.device))
        rows, (layout, padded_rows) = self._sample.rows, self._sample.among(self.context, call.keys)
        if not layout.located:
            return _structure_only(layer, call, visibility)
        found = self._engine(call, rows, layout, geometry.window)
        found[_LOG_SUM_EXP].nan_to_num_(neginf=0.0)
        if not geometry.causal:
            found[_FUTURE] = 0
        largest = self._sample.nothing
        if layout.padding is not None:
            largest = (found[_PADDING].mean(-1) * self._sample.counted).amax()
        heat_head, heat, heat_rows = self._heat(layer, call, rows, layout)
        return LayerStatistics(
            layer=layer,
            sums=(found * self._sample.share).sum((1, 2)),
            rows=self._sample.count,
            padded_rows=padded_rows,
            padding_mass_largest=largest,
            visibility=visibility,
            heat_head=heat_head,
            heat=heat,
            heat_rows=heat_rows,
            window=geometry.window or 0,
            mask=limits_of(call),
        )

    def _heat(
        self, layer: int, call: Attention, rows: Rows, layout: Layout
    ) -> tuple[int, Tensor | None, Tensor | None]:
        """A heat map of one head of each layer that has one in this pass, in rotation; none for very short passes."""
        context, layers = self.context, sorted(self.plan.layers & set(range(self.plan.profile.layers)))
        turn, maps = context.pass_number, min(self.plan.maps, len(layers))
        drawn = [layers[(turn + k * len(layers) // maps) % len(layers)] for k in range(maps)]
        if layer not in drawn or context.queries < HEAT_BINS // 2:
            return -1, None, None
        if not isinstance(context.cached, int):
            return -1, None, None
        heads = [head for head in self.plan.heads or () if 0 <= head < call.heads] or range(call.heads)
        head = heads[(turn // len(layers) + drawn.index(layer)) % len(heads)]
        span = context.cached + context.queries
        return head, *heat_map(call, rows, layout, head, HEAT_BINS if span >= HEAT_BINS else HEAT_BINS // 2, span)


def _structure_only(layer: int, call: Attention, visibility: Tensor) -> LayerStatistics:
    """What a layer's mask shows, when its weights are not computed in this pass."""
    none = torch.zeros((), dtype=torch.int64, device=call.device)
    sums = torch.zeros(len(STATISTICS), call.heads, device=call.device)
    return LayerStatistics(layer, sums, none, none, sums[0, 0], visibility)
