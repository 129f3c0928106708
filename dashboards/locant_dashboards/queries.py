"""The PromQL of the panels, built from catalogue entries.

Ratios are counts over counts, `increase` over `increase`, and the divisor stands behind `> 0`: an idle stretch is a
gap in the graph, not a NaN and not a perfect score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from locant_slo import names, promql
from locant_slo.catalogue import Label, Metric, metrics
from locant_slo.catalogue import labels as la
from locant_slo.spec import Spec

RATE = "$__rate_interval"
RANGE = "$__range"
STEP = "$__interval"
SLOW = "1h"
"""For series that move a few times an hour, such as canary cases: a rate interval would mostly see nothing."""

RELEASE = (la.MODEL, la.MODEL_VERSION)
CHOSEN: Mapping[str, str] = {label.name: f"~${label.name}" for label in RELEASE}
"""What the board's variables select."""


OUR_VARIABLES = frozenset({"datasource", "hourly_price", la.LAYER.name, la.HEAD.name})
"""What the boards' own variables are called, beside model and release."""


@dataclass(frozen=True, slots=True)
class Queries:
    """The queries of one service: everything is narrowed by its spec's selector and by the board's variables."""

    spec: Spec

    def one(
        self, metric: Metric, matchers: Mapping[Label, str] | None = None, *, window: str = "", suffix: str = ""
    ) -> str:
        """A selector. Metrics that carry no model are narrowed by the service alone."""
        chosen = CHOSEN if la.MODEL in metric.labels else {}
        narrowed = {**chosen, **self.spec.selector, **spelled(matchers)}
        return promql.selector(metric, narrowed, window=window, suffix=suffix)

    def recorded(self, name: str) -> str:
        """A selector of a recorded series of this service, for the chosen models and groups."""
        model = {la.MODEL.name: CHOSEN[la.MODEL.name]} if self.spec.probe else {}
        return promql.selector(name, {names.SERVICE: self.spec.service, **model, **chosen_groups(self.spec)})

    def rate(
        self,
        metric: Metric,
        by: Iterable[Label | str] = (),
        matchers: Mapping[Label, str] | None = None,
        *,
        window: str = RATE,
        suffix: str = "",
    ) -> str:
        """Events per second, summed by labels."""
        return f"sum {promql.grouping(by)} (rate({self.one(metric, matchers, window=window, suffix=suffix)}))"

    def increase(
        self,
        metric: Metric,
        by: Iterable[Label | str] = (),
        matchers: Mapping[Label, str] | None = None,
        *,
        window: str = RATE,
        suffix: str = "",
    ) -> str:
        """Events in the window, summed by labels."""
        return f"sum {promql.grouping(by)} (increase({self.one(metric, matchers, window=window, suffix=suffix)}))"

    def bad_ratio(self, indicator: str, by: Iterable[Label | str] = (), *, window: str = RATE) -> str:
        """Bad events of an indicator over all its events."""
        labels, which = tuple(by), {la.INDICATOR: indicator}
        bad = self.increase(metrics.SLI_BAD_EVENTS, labels, which, window=window)
        return divided(bad, self.increase(metrics.SLI_EVENTS, labels, which, window=window))

    def good_ratio(self, indicator: str, by: Iterable[Label | str] = (), *, window: str = RATE) -> str:
        """Good events of an indicator over all its events."""
        return f"1 - {self.bad_ratio(indicator, by, window=window)}"

    def quantile(self, q: float, metric: Metric, by: Iterable[Label | str] = (), *, window: str = RATE) -> str:
        """A quantile of a histogram over the window."""
        return quantile_of(q, self.rate(metric, ("le", *by), window=window, suffix="_bucket"))

    def per_row(self, metric: Metric, by: Iterable[Label | str], matchers: Mapping[Label, str] | None = None) -> str:
        """An attention sum divided by the rows that were sampled for it."""
        labels = tuple(by)
        return divided(self.rate(metric, labels, matchers), self.rate(metrics.ATTENTION_ROWS, labels))

    def gauge(self, aggregation: str, metric: Metric, by: Iterable[Label | str] = ()) -> str:
        """A gauge, aggregated by labels."""
        return f"{aggregation} {promql.grouping(by)} ({self.one(metric)})"


def extra_groups(spec: Spec) -> tuple[str, ...]:
    """Labels beside model and release that have budgets of their own, such as a tenant.

    Where no probe watches, nobody but the spec knows of models, and they are labels as any other.
    """
    release = {label.name for label in RELEASE} if spec.probe else set()
    found = (label for objective in spec.objectives for label in objective.budget_group)
    return tuple(label for label in dict.fromkeys(found) if label not in release)


def chosen_groups(spec: Spec) -> dict[str, str]:
    """What the board's variables select of those."""
    return {label: f"~${variable_of(label)}" for label in extra_groups(spec)}


def variable_of(label: str) -> str:
    """The name of a group label's variable: its own, where no variable of the boards has it."""
    return f"group_{label}" if label in OUR_VARIABLES else label


def spelled(matchers: Mapping[Label, str] | None) -> dict[str, str]:
    """Matchers by label name."""
    return {label.name: value for label, value in (matchers or {}).items()}


def quantile_of(q: float, buckets: str) -> str:
    """A quantile of cumulative buckets. Without events it is NaN, and a comparison drops NaN: idle is a gap."""
    return f"histogram_quantile({q:g}, {buckets}) >= 0"


def divided(numerator: str, denominator: str) -> str:
    """A quotient that is absent where the denominator is nought."""
    return f"{numerator} / ({denominator} > 0)"


def legend(*labels: Label | str) -> str:
    """A legend that shows the values of labels."""
    return " ".join(f"{{{{{label if isinstance(label, str) else label.name}}}}}" for label in labels)
