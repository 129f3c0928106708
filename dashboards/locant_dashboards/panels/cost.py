"""What long sequences cost, in time and in money."""

from __future__ import annotations

from locant_dashboards import costs
from locant_dashboards.ask import now, over_time
from locant_dashboards.grafana import BarGauge, Line, Stat, Step, TimeSeries
from locant_dashboards.objectives import good_steps
from locant_dashboards.queries import RELEASE, Queries
from locant_slo.catalogue import labels as la
from locant_slo.catalogue import metrics
from locant_slo.spec import Spec


def cost(q: Queries) -> Line:
    """Model time and money by sequence length."""
    seconds = TimeSeries(
        title="Compute per 1,000 tokens by sequence length",
        description=f"Seconds of model time per 1,000 tokens. {costs.FORMULA}",
        unit="s",
        targets=[over_time(costs.seconds_per_thousand_tokens(q), la.LENGTH_BUCKET)],
    )
    money = BarGauge(
        title="Price of a million tokens by sequence length",
        description="Seconds of model time per token × 1,000,000 ÷ 3,600 × the hourly price above, in its currency. "
        + costs.FORMULA,
        unit="short",
        decimals=2,
        minimum=0,
        color="continuous-GrYlRd",
        targets=[now(costs.price_per_million_tokens(q), la.LENGTH_BUCKET)],
    )
    sequences = Stat(
        title="Compute per 1,000 sequences",
        description="All time in forward passes over the time range ÷ sequences begun (prefill and encode) × 1,000.",
        unit="s",
        steps=(Step("blue"),),
        targets=[now(costs.seconds_per_thousand_sequences(q), *RELEASE)],
    )
    return Line((seconds, money, sequences), widths=(10, 9, 5))


def latency_by_length(spec: Spec, q: Queries) -> Line:
    """Latency by sequence length, and tokens on time by release."""
    by = (la.LENGTH_BUCKET,)
    latency = TimeSeries(
        title="Latency per token by sequence length (p95)",
        description="The time within which 95 % of tokens were computed, by length as a share of the trained length.",
        unit="s",
        targets=[over_time(q.quantile(0.95, metrics.TOKEN_DURATION, by), la.LENGTH_BUCKET, exemplar=True)],
    )
    on_time = TimeSeries(
        title="Tokens on time",
        description="Tokens computed within the latency target, of all.",
        unit="percentunit",
        maximum=1,
        steps=good_steps(spec, "latency_per_token"),
        threshold_lines=True,
        targets=[over_time(q.good_ratio("latency_per_token", RELEASE), *RELEASE)],
    )
    return Line((latency, on_time))
