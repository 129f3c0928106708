"""Passes, sequences, tokens and what of them was padding."""

from __future__ import annotations

from collections.abc import Iterator

from locant.observation import ForwardFacts
from locant.sidecar.accountant.subject import Subject, sli
from locant.sidecar.store import Update, add
from locant_slo.catalogue import metrics
from locant_slo.catalogue.labels import OUTCOME, TOKEN_KIND

_OK, _ERROR = OUTCOME.values
_REAL, _PADDING = TOKEN_KIND.values


def traffic(facts: ForwardFacts, subject: Subject) -> Iterator[Update]:
    """What a pass counts. Tokens of one that failed were not computed and count nowhere.

    A row's padding is what its real tokens leave of the pass's width, holes in the mask included.
    """
    own = subject.labels
    yield add(metrics.FORWARD_PASSES, (facts.phase, _ERROR if facts.error else _OK, *own))
    yield add(metrics.SEQUENCES, (facts.phase, *own), sum(row.real > 0 for row in facts.rows))
    if facts.error:
        return
    real = sum(max(row.real, 0) for row in facts.rows)
    padding = sum(max(facts.queries - max(row.real, 0), 0) for row in facts.rows)
    yield add(metrics.TOKENS, (_REAL, *own), real)
    yield add(metrics.TOKENS, (_PADDING, *own), padding)
    yield from sli(subject, "padding_ratio", real + padding, padding)
