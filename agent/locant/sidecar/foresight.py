"""Looking ahead in a decode loop: one judgement for many steps, by the same checks.

Along a stride every count and position grows by one and nothing else changes. What the checks of a plain decode step
compare then are straight lines: with a limit (trained length, table, window, float32), which a line crosses at most
once, or with each other, where the difference does not change at all. A stride that is healthy now and healthy some
steps ahead is therefore healthy in between. No check is repeated here in another form: the checks themselves are
asked, about the pass that will come.
"""

from __future__ import annotations

from dataclasses import replace

from locant.sidecar.checks import PLAIN_CHECKS, Pass, checks_for
from locant.sidecar.ledger import Move, Stride
from locant.sidecar.ledger.moves import judge_move
from locant.sidecar.ledger.stride import further
from locant.sidecar.memory import note_of

STEPS = 64
"""How far to look, and how long not to look again when something is the matter there."""


def foresee(new: Stride, old: Stride, seen: Pass) -> None:
    """Note how many steps after a healthy pass are healthy as well. `old` is the stride that the pass went on with."""
    new.note = note_of(seen)
    if old.quiet > old.steps + 1:
        new.quiet = old.quiet - old.steps - 1
    elif old.rest > 0:
        new.rest = old.rest - 1
    elif checks_for(seen.facts) is PLAIN_CHECKS:
        new.quiet, new.rest = (STEPS, 0) if _quiet(_ahead(seen, new), new) else (0, STEPS)


def _ahead(seen: Pass, stride: Stride) -> Pass:
    """The pass that comes `STEPS` later, if the stride lasts so long."""
    facts = replace(seen.facts, rows=tuple(further(row, STEPS) for row in seen.rows))
    states = stride.settled(STEPS - 1)
    moves = tuple(
        judge_move(row, state, facts, seen.profile, stride.losses)
        for row, state in zip(facts.rows, states, strict=True)
    )
    return replace(seen, facts=facts, states=states, moves=moves)


def _quiet(ahead: Pass, stride: Stride) -> bool:
    same = all(move is Move.SAME for move in ahead.moves) and note_of(ahead) == stride.note
    return same and not any(hit for check in PLAIN_CHECKS for hit in check(ahead))
