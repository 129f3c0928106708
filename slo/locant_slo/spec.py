"""The SLO spec: what `slo.yaml` may say. `load.py` reads it from disk and words the errors."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from locant_slo.catalogue import labels as la
from locant_slo.fields import Closed, LabelName, Labels, Name, Ratio, Seconds
from locant_slo.indicators.kinds import AnyIndicator
from locant_slo.tiers import (
    SHORTEST_FITTED_SECONDS,
    SRE_WORKBOOK_TIERS,
    WORKBOOK_WINDOW_SECONDS,
    Alerting,
    NoData,
    Tier,
    fitted_tiers,
)
from locant_slo.times import Calendar, Deploys, Maintenance, Weekly

__all__ = ["SRE_WORKBOOK_TIERS", "Alerting", "Health", "NoData", "Objective", "Routing", "Spec", "Tier", "fitted_tiers"]


def _version(value: object) -> object:
    if isinstance(value, (int, float)):
        raise ValueError(f"{value} is a number and 2.50 would read as 2.5; put the version in quotes, as in '2.53'")
    return value


Version = Annotated[str, BeforeValidator(_version), Field(pattern=r"^\d+[.]\d+$")]


class Objective(Closed):
    """One promise: at least `target` of an indicator's events are good over `window`, or over a calendar's period."""

    name: Name
    indicator: AnyIndicator
    target: Ratio
    window: Seconds = WORKBOOK_WINDOW_SECONDS
    calendar: Calendar | None = None
    description: str = ""
    labels: Labels
    selector: Labels
    """Labels that every selector of the indicator must carry, over those of the service."""
    group_by: tuple[LabelName, ...] | None = None
    """Labels that series, alerts and panels keep; the indicator's own where nothing is said."""
    similar: tuple[LabelName, ...] = ()
    """Labels of the group whose values share a budget and a notification, such as a shard."""
    alerting: Alerting = Alerting()

    @model_validator(mode="after")
    def _fit_window(self) -> Objective:
        if self.calendar is not None:
            if "window" in self.model_fields_set:
                raise ValueError("window and calendar exclude each other; keep the one that is promised")
            self._settle("window", self.calendar.nominal_seconds)
        return self

    @model_validator(mode="after")
    def _fit_tiers(self) -> Objective:
        """Tiers that nobody wrote follow the window: unscaled, the last one of 28 days would fire under budget."""
        written = "tiers" in self.alerting.model_fields_set
        if not written and SHORTEST_FITTED_SECONDS <= self.window != WORKBOOK_WINDOW_SECONDS:
            self._settle("alerting", self.alerting.model_copy(update={"tiers": fitted_tiers(self.window)}))
        return self

    def _settle(self, field: str, value: object) -> None:
        object.__setattr__(self, field, value)  # frozen from here on

    @property
    def group(self) -> tuple[str, ...]:
        """The labels that counts, ratios and alerts keep."""
        return self.indicator.default_group if self.group_by is None else self.group_by

    @property
    def longest_window(self) -> int:
        """Seconds that its budget may reach back: a calendar's longest period is longer than the one reckoned with."""
        return self.window if self.calendar is None else self.calendar.longest_seconds

    @property
    def budget_group(self) -> tuple[str, ...]:
        """The labels that have a budget of their own: a new release, or another shard, does not buy a new one."""
        return tuple(name for name in self.group if name not in {la.MODEL_VERSION.name, *self.similar})


class Health(Closed):
    """When Locant itself is unwell: limits of the rules that watch the watcher."""

    enabled: bool = True
    severity: Literal["page", "ticket"] = "ticket"
    probe_silent_after: Seconds = 600
    canary_stale_after: Seconds = 21_600
    dropped_ratio: Ratio = Decimal("0.01")
    coverage_kept_ratio: Ratio = Decimal("0.5")
    overhead_ratio: Ratio = Decimal("0.02")
    """Twice the probe's default budget."""
    observation_late_after: Seconds = 60


class Routing(Closed):
    """Where Alertmanager sends each severity: webhook addresses, read from the spec or filled in by the operator.

    `mute`: stretches in which nobody is told, such as promotions; what happens in them still costs budget.
    """

    page: str = "http://127.0.0.1:9099/page"
    ticket: str = "http://127.0.0.1:9099/ticket"
    mute: tuple[Weekly, ...] = ()


class Spec(Closed):
    """Everything that one service promises about its positions."""

    version: Literal["locant/v1"]
    service: Name
    team: Name = "ml-platform"
    """Whom its alerts are routed to."""
    labels: Labels
    """Labels on every alert, such as the namespace that an operator routes by."""
    selector: Labels
    """Labels that pick this service's series where one Prometheus scrapes several, as in `job: chat`."""
    probe: bool = True
    """Whether Locant watches its models. If not, it has objectives on metrics of its own, and no alert on findings."""
    scrape_interval: Seconds = 30
    """How often Prometheus scrapes; no window may hold fewer than four scrapes."""
    retention: Seconds = 1_296_000
    """How long Prometheus keeps samples; a longer window draws a warning."""
    prometheus: Version = "2.42"
    """The oldest Prometheus that will read the rules."""
    runbook_url: str = "https://github.com/locant/locant/blob/main/alerts/runbooks"
    routing: Routing = Routing()
    health: Health = Health()
    maintenance: tuple[Maintenance, ...] = ()
    """Stretches that cost no budget and page nobody."""
    deploys: Deploys | None = None
    query_offset: Seconds | None = None
    """How long rules wait for samples that arrive late, as by remote write; Prometheus 2.53 and newer."""
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)]

    _places: tuple[str, ...] = PrivateAttr(default=())

    def stands_at(self, places: tuple[str, ...]) -> None:
        """Where in the file each objective stands."""
        self._places = places

    def place(self, index: int) -> str:
        """Where in the file an objective stands: one that was made by `for_each` stands where its template does."""
        return self._places[index] if index < len(self._places) else f"objectives[{index}]"
