"""Costs beyond the life of a probe: what is usual of each release, and which pinned one it is held to."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from math import isfinite

from locant.observation import ModelAttached
from locant.sidecar.costs.pinned import PinnedCosts
from locant.sidecar.costs.watch import CostWatch
from locant.sidecar.references import Reference
from locant.sidecar.saved import SavedCosts, SavedRelease
from locant_slo.catalogue.labels import PHASE

_LOG = logging.getLogger("locant.agent")
_MOST_RELEASES = 256
_MOST_KINDS = 256
_LONGEST_MACHINE = 512
Release = tuple[str, str]


class CostHistory:
    """Costs by release. A probe that comes goes on where its release's last one stood, on a machine like its."""

    def __init__(self) -> None:
        self._past: OrderedDict[Release, SavedCosts] = OrderedDict()
        self._references: Mapping[str, Reference] = {}

    def watch(self, attached: ModelAttached) -> CostWatch:
        """A watch for a probe that came."""
        watch = CostWatch(self._past.get(_release(attached), SavedCosts()).on(_machine(attached)))
        watch.compare(self.pinned(attached))
        return watch

    def adopt(self, references: Mapping[str, Reference]) -> None:
        """Hold releases to these from now on."""
        self._references = references

    def pinned(self, attached: ModelAttached) -> PinnedCosts | None:
        """What a probe's model is held to: bytes anywhere, times only on a machine of the reference's kind."""
        reference = self._references.get(attached.model)
        if reference is None or reference.costs is None:
            return None
        costs, machine = reference.costs, _machine(attached)
        if machine and machine == costs.machine:
            seconds = {(one.phase, one.rows, one.tokens_step, one.cache_step): one.seconds for one in costs.passes}
        else:
            seconds = {}
            _LOG.info(
                "%r %r: time per pass is not held to the reference, which is of %r; here computes %r",
                *_release(attached),
                costs.machine,
                machine or "nobody knows what",
            )
        return PinnedCosts(reference.model_version, seconds, costs.cache_bytes_per_token)

    def keep(self, attached: ModelAttached, watch: CostWatch) -> None:
        """What a probe's watch learned, as it goes or is saved, added to what others learned of its release."""
        release, machine = _release(attached), _machine(attached)
        learned = watch.learned()
        known = self._past.get(release, SavedCosts()).on(machine)
        seconds = {one[:4]: one for one in (*known.seconds, *filter(_sound, learned.seconds))}
        growth = known.cache_bytes_per_token if learned.cache_bytes_per_token is None else learned.cache_bytes_per_token
        if seconds or growth is not None:
            self._past[release] = SavedCosts(machine, tuple(seconds.values())[-_MOST_KINDS:], growth)
            self._past.move_to_end(release)
            while len(self._past) > _MOST_RELEASES:
                self._past.popitem(last=False)

    def recall(self, saved: Iterable[SavedRelease]) -> None:
        """Go on where an earlier process left these releases."""
        self._past.update({(one.model, one.version): one.costs for one in saved if one.costs is not None})

    def known(self) -> dict[Release, SavedCosts]:
        """What was kept of every release."""
        return dict(self._past)


def _release(attached: ModelAttached) -> Release:
    return (attached.model, attached.model_version)


def _machine(attached: ModelAttached) -> str:
    """As the probe says; one that writes a novel says nothing."""
    return attached.machine if len(attached.machine) <= _LONGEST_MACHINE else ""


def _sound(time: tuple[str, int, int, int, float]) -> bool:
    """Whether a file may hold it: no phase that nobody knows, no time that is no number."""
    return time[0] in PHASE.values and isfinite(time[-1])
