"""A backtest for people: what was replayed, the scores, each incident, and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from locant_alerts.backtest import HEAD, cells, incident_rows, score
from locant_alerts.document import Block, Document, Heading, Table
from locant_alerts.history import History
from locant_alerts.pictures.timeline import timeline
from locant_alerts.replay import replay
from locant_alerts.series import number
from locant_slo.durations import format_duration, spoken_duration
from locant_slo.moments import format_moment
from locant_slo.spec import Objective

_MOST_PICTURES = 12
UNKNOWN = (
    "Nobody said when incidents were, so precision, recall, detection and reset are unknown; the budget is that of the "
    "long window before each firing. Name incidents with --incidents FILE (columns start, end)."
)


def backtest_document(objective: Objective, histories: Sequence[History]) -> Document:
    """An objective's alerts replayed over groups of the same time."""
    promise = f"{number(objective.target * 100)}% over {format_duration(objective.window)}"
    title = f"{objective.name}: {promise}, alerts replayed"
    return Document(title, [*_notes(histories), *_tables(objective, histories), *_pictures(objective, histories)])


def _notes(histories: Sequence[History]) -> Iterator[Block]:
    """How much, from when, what is not known."""
    first = histories[0]
    step = format_duration(first.traffic.step_seconds)
    since = f" from {format_moment(first.start_seconds)}" if first.start_seconds else ""
    yield f"{_span(first.seconds)} of traffic{since} in steps of {step}, {_groups(histories)}."
    yield from (_counted(history) for history in histories)
    if first.incidents is None:
        yield UNKNOWN


def _tables(objective: Objective, histories: Sequence[History]) -> Iterator[Block]:
    """All groups together, the incidents, then each group that fired where there are several."""
    yield _scores(objective, histories)
    if rows := incident_rows(objective, histories):
        yield Heading("Incidents")
        yield Table(("incident", "lasted", *(f"{tier.name} after" for tier in objective.alerting.tiers)), rows)
    for history in histories if len(histories) > 1 else ():
        table = _scores(objective, [history])
        if any(row[1] != "0" for row in table.rows):
            yield Heading(history.name)
            yield table


def _scores(objective: Objective, histories: Sequence[History]) -> Table:
    return Table(HEAD, [cells(item) for item in score(objective, histories)])


def _pictures(objective: Objective, histories: Sequence[History]) -> Iterator[Block]:
    """Those that fired most first, and no more than one can look at."""
    fired = [(history, replay(objective, history.traffic)) for history in histories]
    fired.sort(key=lambda pair: -len(pair[1]))
    for history, firings in fired[:_MOST_PICTURES]:
        yield timeline(objective, history, firings, history.name)


def _span(seconds: int) -> str:
    for unit, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds} seconds"


def _groups(histories: Sequence[History]) -> str:
    return f"{len(histories)} groups" if len(histories) > 1 else "one group"


def _counted(history: History) -> str:
    events, bad = sum(history.traffic.events), sum(history.traffic.bad)
    gap = f"; nobody reported in {format_duration(history.unseen_steps * history.traffic.step_seconds)} of it"
    ratio = f" ({bad / events:.4%})" if events else ""
    quiet = sum(end - start for start, end in history.excluded) * history.traffic.step_seconds
    left_out = f"; {spoken_duration(quiet)} of it excluded" if quiet else ""
    return f"{history.name}: {events} events, {bad} bad{ratio}{gap if history.unseen else ''}{left_out}."
