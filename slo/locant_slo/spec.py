"""The SLO spec: what `slo.yaml` may say. `load.py` reads it from disk and words the errors."""

from __future__ import annotations

from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from locant_slo.durations import parse_duration
from locant_slo.indicators import BY_ID


def _known_indicator(value: str) -> str:
    if value not in BY_ID:
        nearest = get_close_matches(value, BY_ID, n=1)
        meant = f"did you mean {nearest[0]}? The others are" if nearest else "choose one of"
        others = ", ".join(sorted(set(BY_ID) - set(nearest)))
        raise ValueError(f"{value!r} is no indicator; {meant} {others}")
    return value


def _inside_unit_interval(value: Decimal) -> Decimal:
    if not 0 < value < 1:
        raise ValueError(f"{value} is not between 0 and 1; write 99 % as 0.99")
    return value


def _exact(value: object) -> object:
    """YAML floats arrive as binary; their shortest text is what the author wrote."""
    return str(value) if isinstance(value, float) else value


Seconds = Annotated[int, BeforeValidator(lambda v: parse_duration(v) if isinstance(v, str) else v), Field(gt=0)]
Ratio = Annotated[Decimal, BeforeValidator(_exact), AfterValidator(_inside_unit_interval)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(_Closed):
    """One burn-rate tier: it fires when the long and the short window both burn at the speed that spends `budget` of
    the SLO window's error budget within the long window. Source: Google SRE Workbook, chapter 5."""

    name: Name
    severity: Literal["page", "ticket"]
    budget: Ratio
    long: Seconds
    short: Seconds
    hold: Seconds = 120


SRE_WORKBOOK_TIERS: tuple[Tier, ...] = (
    Tier(name="fast", severity="page", budget=Decimal("0.02"), long=3_600, short=300),
    Tier(name="medium", severity="page", budget=Decimal("0.05"), long=21_600, short=1_800, hold=300),
    Tier(name="slow", severity="ticket", budget=Decimal("0.10"), long=86_400, short=7_200, hold=900),
    Tier(name="trickle", severity="ticket", budget=Decimal("0.10"), long=259_200, short=21_600, hold=1_800),
)


_WORKBOOK_WINDOW_SECONDS = 2_592_000
_SHORTEST_FITTED_SECONDS = 604_800


def fitted_tiers(window: int) -> tuple[Tier, ...]:
    """The workbook's tiers for another SLO window of a week or more: same windows and factors, so budgets scale."""
    scale = Decimal(_WORKBOOK_WINDOW_SECONDS) / window
    return tuple(tier.model_copy(update={"budget": tier.budget * scale}) for tier in SRE_WORKBOOK_TIERS)


class NoData(_Closed):
    """What the absence of events means: after how long somebody is told, or `ignore`."""

    action: Literal["alert", "ignore"] = "alert"
    after: Seconds = 900
    severity: Literal["page", "ticket"] = "ticket"


class Alerting(_Closed):
    """When an objective alerts. `minimum_bad_events` in the long window keep one bad event of two from paging."""

    enabled: bool = True
    tiers: tuple[Tier, ...] = SRE_WORKBOOK_TIERS
    minimum_bad_events: Annotated[int, Field(ge=1)] = 5
    keep_firing_for: Seconds = 300
    no_data: NoData = NoData()


class Objective(_Closed):
    """One promise: at least `target` of an indicator's events are good over `window`."""

    name: Name
    indicator: Annotated[str, AfterValidator(_known_indicator)]
    target: Ratio
    window: Seconds = _WORKBOOK_WINDOW_SECONDS
    description: str = ""
    labels: dict[LabelName, str] = {}
    alerting: Alerting = Alerting()

    @model_validator(mode="after")
    def _fit_tiers(self) -> Objective:
        """Tiers that nobody wrote follow the window: unscaled, the last one of 28 days would fire under budget."""
        written = "tiers" in self.alerting.model_fields_set
        if not written and _SHORTEST_FITTED_SECONDS <= self.window != _WORKBOOK_WINDOW_SECONDS:
            alerting = self.alerting.model_copy(update={"tiers": fitted_tiers(self.window)})
            object.__setattr__(self, "alerting", alerting)  # frozen from here on
        return self


class Health(_Closed):
    """When Locant itself is unwell: limits of the rules that watch the watcher."""

    enabled: bool = True
    severity: Literal["page", "ticket"] = "ticket"
    probe_silent_after: Seconds = 600
    canary_stale_after: Seconds = 21_600
    dropped_ratio: Ratio = Decimal("0.01")
    coverage_kept_ratio: Ratio = Decimal("0.5")


class Routing(_Closed):
    """Where Alertmanager sends each severity: webhook addresses, read from the spec or filled in by the operator."""

    page: str = "http://127.0.0.1:9099/page"
    ticket: str = "http://127.0.0.1:9099/ticket"


class Spec(_Closed):
    """Everything that one service promises about its positions."""

    version: Literal["locant/v1"]
    service: Name
    team: Name = "ml-platform"
    labels: dict[LabelName, str] = {}
    selector: dict[LabelName, str] = {}
    """Labels that pick this service's series where one Prometheus scrapes several, as in `job: chat`."""
    scrape_interval: Seconds = 30
    retention: Seconds = 1_296_000
    runbook_url: str = "https://github.com/locant/locant/blob/main/alerts/runbooks"
    routing: Routing = Routing()
    health: Health = Health()
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)]
