"""What the judge keeps of one model beside the ledger: its profile, its table, and what its last passes looked like."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from locant.observation import AttentionFacts, ForwardFacts, ModelAttached, ModelProfile, ReplayFacts
from locant.sidecar.checks import Pass
from locant.sidecar.checks.attention import trusted_padding
from locant.sidecar.checks.hit import Hit
from locant.sidecar.checks.padding import bidirectional
from locant.sidecar.checks.tables import WITHIN_PASSES, is_small_growth
from locant.sidecar.costs import CostWatch
from locant.sidecar.ledger import Followed
from locant.sidecar.note import PassNote

PASSES_KEPT = 64
REPLAY_KINDS = 16


@dataclass(slots=True)
class ModelMemory:
    """One attached model. `broken` is true while its parameters are known to be wrong: then every row it serves is."""

    attached: ModelAttached
    broken: bool = False
    table_rows: int | None = None
    growths: deque[int] = field(default_factory=deque)
    notes: OrderedDict[int, PassNote] = field(default_factory=OrderedDict)
    waiting: OrderedDict[int, list[AttentionFacts]] = field(default_factory=OrderedDict)
    costs: CostWatch = field(default_factory=CostWatch)
    replayed: dict[tuple[str, str, str], deque[float]] = field(default_factory=dict)

    @property
    def profile(self) -> ModelProfile:
        """The model's profile."""
        return self.attached.profile

    def see(self, facts: ForwardFacts, followed: Followed) -> Pass:
        """The pass with everything known about it; tables that grew are counted first."""
        for before, after in facts.table_growths:
            self.table_rows = max(self.table_rows, after) if self.table_rows is not None else None
            if is_small_growth(before, after) and (not self.growths or self.growths[-1] != facts.pass_number):
                self.growths.append(facts.pass_number)
        while self.growths and facts.pass_number - self.growths[0] >= WITHIN_PASSES:
            self.growths.popleft()
        return Pass(
            self.profile,
            facts,
            followed.rows,
            followed.moves,
            followed.parameters_hash,
            self.table_rows,
            tuple(self.growths),
        )

    def note(self, pass_number: int, note: PassNote) -> list[AttentionFacts]:
        """Remember how to read a pass's attention; gives back attention facts that came before it."""
        self.notes[pass_number] = note
        while len(self.notes) > PASSES_KEPT:
            self.notes.popitem(last=False)
        return self.waiting.pop(pass_number, [])

    def replay(self, facts: ReplayFacts) -> tuple[float, ...]:
        """Differences of the last replays of this kind; those of `facts` are remembered beside them."""
        kind = (facts.kind, facts.dtype, facts.quantity)
        if kind not in self.replayed and len(self.replayed) >= REPLAY_KINDS:
            return ()
        kept = self.replayed.setdefault(kind, deque(maxlen=PASSES_KEPT))
        before = tuple(kept)
        kept.extend(facts.differences[:PASSES_KEPT])
        return before

    def keep(self, facts: AttentionFacts) -> None:
        """Attention facts that came before their pass wait for it, for the last 64 passes."""
        self.waiting.setdefault(facts.pass_number, []).append(facts)
        while len(self.waiting) > PASSES_KEPT:
            self.waiting.popitem(last=False)


def note_of(seen: Pass) -> PassNote:
    """How to read the attention of this pass."""
    facts, scheme = seen.facts, seen.profile.scheme
    crossing = facts.declared or (scheme != "mrope" and any(row.resets > 0 for row in facts.rows))
    sure = facts.declared or (facts.mask_rank != 4 and not bidirectional(seen))
    trusted = bool(trusted_padding(seen)) and facts.mask_rank != 4
    return PassNote(facts.masked, trusted, crossing, sure)


def alerting(hits: list[Hit]) -> list[Hit]:
    """Hits that page or open a ticket."""
    return [hit for hit in hits if hit.severity.value != "info"]
