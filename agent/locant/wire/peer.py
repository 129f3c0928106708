"""What the agent keeps of a probe: its place in the sequence, what it lost, and how its model ids translate."""

from __future__ import annotations

import socket
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from locant.observation import Detached, ModelAttached, Observation
from locant.wire.frame import Frame, FrameError

_REMEMBERED_PROBES = 1024


@dataclass(slots=True)
class Probe:
    """One probe (a process), by the random id in its frames; it outlives a connection, so that nothing counts twice."""

    next_sequence: int
    dropped_total: int = 0
    reported: Counter[str] = field(default_factory=Counter)
    numbers: dict[int, int] = field(default_factory=dict)

    def follow(self, frame: Frame) -> int:
        """Take note of a frame's header; how many frames before it never came."""
        missing = max(0, frame.sequence - self.next_sequence)
        self.next_sequence = max(self.next_sequence, frame.sequence + 1)
        self.dropped_total = max(self.dropped_total, frame.dropped_total)
        return missing

    def losses(self, reasons: Mapping[str, int]) -> Counter[str]:
        """What it lost since the last call, by reason; what it gave no reason for counts as a full queue."""
        news: Counter[str] = Counter()
        for reason, total in reasons.items():
            news[reason] += max(0, total - self.reported[reason])
            self.reported[reason] = max(self.reported[reason], total)
        unnamed = max(0, self.dropped_total - self.reported.total())
        news["queue_full"] += unnamed
        self.reported["queue_full"] += unnamed
        return news

    def renumber(
        self, observation: Observation, introduced: set[int], limit: int, number: Callable[[], int]
    ) -> Observation:
        """The observation under this agent's number of its model. Raises FrameError for a model never introduced."""
        local = observation.model_id
        if local not in introduced:
            if len(introduced) >= limit or not isinstance(observation, ModelAttached):
                raise FrameError("unknown_model")
            introduced.add(local)
            if local not in self.numbers:
                self.numbers = {known: self.numbers[known] for known in self.numbers if known in introduced}
                self.numbers[local] = number()
        number_here = self.numbers[local]
        renumbered = observation if number_here == local else replace(observation, model_id=number_here)
        if isinstance(observation, Detached):
            introduced.discard(local)
        return renumbered


@dataclass(slots=True)
class Peer:
    """One connection. `heard` is when it last sent something readable, by the receiver's clock; `hears`: it reads."""

    sock: socket.socket
    heard: float
    probe: Probe | None = None
    probe_id: int | None = None
    introduced: set[int] = field(default_factory=set)
    errors: int = 0
    hears: bool = False
    asked: int = 0

    def local(self, number: int) -> int | None:
        """The probe's own id of the model that has this number here; None for a model that it does not have."""
        numbers = self.probe.numbers if self.probe is not None else {}
        return next((own for own, here in numbers.items() if here == number and own in self.introduced), None)


class Probes:
    """The probes that this agent remembers, at most 1,024: the one that was silent longest is forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, Probe] = OrderedDict()

    def recall(self, frame: Frame) -> Probe:
        """The probe behind a frame, new when it was never heard of."""
        probe = self._known.get(frame.probe_id)
        if probe is None:
            probe = self._known[frame.probe_id] = Probe(next_sequence=frame.sequence)
            if len(self._known) > _REMEMBERED_PROBES:
                self._known.popitem(last=False)
        self._known.move_to_end(frame.probe_id)
        return probe
