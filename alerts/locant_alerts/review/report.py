"""The review as a document: one table for all objectives, then what stands behind each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from locant_alerts.document import Block, Document, Heading, Table
from locant_alerts.history import History
from locant_alerts.pictures.timeline import Lane, timeline
from locant_alerts.review.account import Account, by_budget, together
from locant_alerts.review.events import Fired, Found, Released
from locant_alerts.review.happened import happened
from locant_alerts.series import number
from locant_slo.durations import format_duration, spoken_duration
from locant_slo.moments import format_moment
from locant_slo.spec import Objective, Spec

_WORST_HOURS = 5
_KNOWN_ENOUGH_RATIO = 0.99
_BARS = "▁▂▃▄▅▆▇█"
NO_DATA = "no data"


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that a review is made of. What is None is unknown: nobody said, or nobody can."""

    spec: Spec
    period_seconds: int
    end_seconds: float
    histories: Sequence[tuple[Objective, Sequence[History]]]
    fired: Sequence[Fired] | None = None
    released: Sequence[Released] | None = None
    found: Sequence[Found] | None = None

    @property
    def group(self) -> tuple[str, ...]:
        """Every label that some objective keeps."""
        return tuple(dict.fromkeys(name for objective, _ in self.histories for name in objective.group))

    @property
    def start_seconds(self) -> float:
        """When the period began."""
        return self.end_seconds - self.period_seconds


@dataclass(frozen=True, slots=True)
class _Part:
    """An objective and one of its budgets; no account where nobody reported."""

    objective: Objective
    name: str = ""
    account: Account | None = None
    histories: Sequence[History] = ()


def review_document(review: Review) -> Document:
    """The whole review. Objectives without data are in it, and say so."""
    parts = [part for objective, histories in review.histories for part in _parts(review, objective, histories)]
    blocks: list[Block] = [
        f"From {format_moment(review.start_seconds)} to {format_moment(review.end_seconds)}.",
        Table(_HEAD, [_row(review, part) for part in parts]),
        *happened(review.fired, review.released, review.found, review.group),
    ]
    for part in parts:
        blocks += _chapter(review, part)
    return Document(f"Error budgets of {review.spec.service}", blocks)


def _parts(review: Review, objective: Objective, histories: Sequence[History]) -> Iterator[_Part]:
    for name, shared in by_budget(histories, objective.budget_group):
        yield _Part(objective, name, Account(objective, together(shared), review.period_seconds), shared)
    if not histories:
        yield _Part(objective)


_HEAD = ("objective", "of", "promised", "kept", "budget left", "spent in the period", "before", "alerts")


def _row(review: Review, part: _Part) -> tuple[str, ...]:
    objective, account = part.objective, part.account
    over = f"each {objective.calendar.period}" if objective.calendar else f"over {format_duration(objective.window)}"
    promise = f"{number(objective.target * 100)}% {over}"
    alerts = "unknown" if review.fired is None else str(len(_mine(review.fired, part)))
    if account is None or account.window.error_ratio is None:
        return objective.name, part.name, promise, *[NO_DATA] * 4, alerts
    spent = account.spent(account.window)
    return (
        objective.name,
        part.name,
        promise,
        f"{1 - account.window.error_ratio:.3%}",
        _percent(None if spent is None else 1 - spent),
        _percent(account.spent(account.period) if account.period.events else None),
        _percent(account.spent(account.period_before) if account.period_before.events else None),
        alerts,
    )


def _mine(fired: Sequence[Fired], part: _Part) -> list[Fired]:
    """The alerts of an objective, and of one of its budgets where the alert says which; absence says nothing."""
    return [one for one in fired if one.slo == part.objective.name and _is_of(one, part)]


def _is_of(one: Fired, part: _Part) -> bool:
    """Whether nothing that the alert says of itself contradicts one of the part's groups."""
    return not part.histories or any(
        all(one.labels.get(name, value) == value for name, value in history.labels.items())
        for history in part.histories
    )


def _percent(share: float | None) -> str:
    return NO_DATA if share is None else f"{share:.1%}"


def _ratio(share: float | None) -> str:
    """An error ratio beside a promise of three nines: a tenth of a percent is the whole budget."""
    return NO_DATA if share is None else f"{share:.3%}"


def _chapter(review: Review, part: _Part) -> Iterator[Block]:
    objective, account = part.objective, part.account
    yield Heading(f"{objective.name}: {part.name}" if part.name else objective.name)
    if objective.description:
        yield objective.description
    if account is None or not account.window.events:
        yield "Nobody counted an event of it: the objective is neither kept nor missed, it is unknown."
        return
    if account.known_ratio < _KNOWN_ENOUGH_RATIO:
        window = "calendar's time" if objective.calendar else format_duration(objective.window)
        yield f"Somebody reported in {account.known_ratio:.0%} of the {window}; the rest is unknown, not good."
    if account.history.excluded:
        steps = sum(end - start for start, end in account.history.excluded)
        quiet = spoken_duration(steps * account.history.traffic.step_seconds)
        yield f"Left out as maintenance, or as quiet after a release: {quiet} of all that was read."
    yield from _trend(account)
    if hours := account.worst_hours(_WORST_HOURS):
        yield "The worst hours:"
        rows = [(format_moment(h.start_seconds), str(h.events), str(h.bad), _ratio(h.error_ratio)) for h in hours]
        yield Table(("hour from", "events", "bad", "error ratio"), rows)
    if len(part.histories) > 1:
        yield "By release, over the period:"
        yield Table(("of", "events", "bad", "error ratio"), list(_releases(part, review.period_seconds)))
    yield _picture(review, part, account)


def _trend(account: Account) -> Iterator[Block]:
    spent = [account.spent(day) or 0.0 for day in account.days()]
    yield f"Budget spent a day: {_sparkline(spent)} (most: {max(spent):.1%} of the budget of the whole window)."
    last = account.period.error_ratio
    if last is not None:
        speed = last / float(1 - account.objective.target)
        yield f"At the period's pace the budget burns at {speed:.2g} times the sustainable speed."


def _sparkline(values: Sequence[float]) -> str:
    most = max(values)
    return "".join(_BARS[min(len(_BARS) - 1, int(len(_BARS) * value / most))] if most else _BARS[0] for value in values)


def _releases(part: _Part, seconds: int) -> Iterator[tuple[str, ...]]:
    for history in part.histories:
        count = Account(part.objective, history, seconds).period
        yield history.name, str(count.events), str(count.bad), _ratio(count.error_ratio)


def _picture(review: Review, part: _Part, account: Account) -> Block:
    """The whole history with the alerts that really fired, where somebody knows."""
    line = timeline(part.objective, account.history, (), part.name or part.objective.name)
    start = account.history.start_seconds
    spans: dict[str, list[tuple[float, float]]] = {tier.name: [] for tier in part.objective.alerting.tiers}
    for one in _mine(review.fired or (), part):
        spans.setdefault(one.tier, []).append((one.start_seconds - start, one.end_seconds - start))
    lanes = [Lane(tier.name, tier.severity, tuple(spans[tier.name])) for tier in part.objective.alerting.tiers]
    return replace(line, lanes=tuple(lanes) if review.fired is not None else ())
