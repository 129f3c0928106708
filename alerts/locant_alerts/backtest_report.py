"""A backtest for people: Markdown for the terminal, a page with pictures for the meeting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from locant_alerts.backtest import HEAD, cells, incident_rows, score
from locant_alerts.history import History
from locant_alerts.markdown import table
from locant_alerts.pictures.page import heading, page, paragraph
from locant_alerts.pictures.page import table as html_table
from locant_alerts.pictures.svg import svg
from locant_alerts.pictures.timeline import Timeline, timeline
from locant_alerts.replay import replay
from locant_alerts.series import number
from locant_slo.durations import format_duration
from locant_slo.moments import format_moment
from locant_slo.spec import Objective

_MOST_PICTURES = 12
UNKNOWN = (
    "Nobody said when incidents were, so precision, recall, detection and reset are unknown; the budget is that of the "
    "long window before each firing. Name incidents with --incidents FILE (columns start, end)."
)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below a heading."""

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Backtest:
    """An objective with the traffic that its alerts were replayed over, all groups at the same time."""

    objective: Objective
    histories: tuple[History, ...]

    @property
    def title(self) -> str:
        """What was replayed."""
        objective = self.objective
        return (
            f"{objective.name}: {number(objective.target * 100)}% over {format_duration(objective.window)}, "
            "alerts replayed"
        )

    def notes(self) -> list[str]:
        """Sentences on the data: how much, from when, what is not known."""
        first = self.histories[0]
        step = format_duration(first.traffic.step_seconds)
        since = f" from {format_moment(first.start_seconds)}" if first.start_seconds else ""
        said = [f"{_span(first.seconds)} of traffic{since} in steps of {step}, {_groups(self.histories)}."]
        said += [_counted(history) for history in self.histories]
        return [*said, UNKNOWN] if first.incidents is None else said

    def tables(self) -> list[Table]:
        """All groups together, the incidents, then each group that fired where there are several."""
        tables = [self._scores("", self.histories)]
        if rows := incident_rows(self.objective, self.histories):
            tiers = [f"{tier.name} after" for tier in self.objective.alerting.tiers]
            tables.append(Table("Incidents", ("incident", "lasted", *tiers), rows))
        if len(self.histories) > 1:
            alone = [self._scores(history.name, [history]) for history in self.histories]
            tables += [part for part in alone if any(row[1] != "0" for row in part.rows)]
        return tables

    def _scores(self, name: str, histories: Sequence[History]) -> Table:
        return Table(name, HEAD, [cells(item) for item in score(self.objective, histories)])

    def timelines(self) -> list[Timeline]:
        """The pictures: those that fired most first, and no more than one can look at."""
        fired = [(history, replay(self.objective, history.traffic)) for history in self.histories]
        fired.sort(key=lambda pair: -len(pair[1]))
        return [timeline(self.objective, history, firings, history.name) for history, firings in fired[:_MOST_PICTURES]]


def render_text(backtest: Backtest) -> str:
    """Markdown."""
    lines = [f"# {backtest.title}", "", *(f"{note}" for note in backtest.notes()), ""]
    for part in backtest.tables():
        lines += [f"## {part.name}", ""] if part.name else []
        lines += [table(part.head, part.rows), ""]
    return "\n".join(lines)


def render_html(backtest: Backtest) -> str:
    """A page with a picture of each group."""
    parts = [paragraph(note) for note in backtest.notes()]
    for part in backtest.tables():
        parts += [heading(part.name)] if part.name else []
        parts.append(html_table(part.head, part.rows))
    for line in backtest.timelines():
        parts += [heading(line.title), svg(line)]
    return page(backtest.title, parts)


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
    return f"{history.name}: {events} events, {bad} bad{ratio}{gap if history.unseen_steps else ''}."
