"""PromQL for "this counter has risen", which also sees a counter that was born above zero."""

from __future__ import annotations

from collections.abc import Iterable

from locant_slo import promql
from locant_slo.catalogue import Label, Metric

_MEMORY = "1h"


def risen(metric: Metric, matchers: promql.Matchers, by: Iterable[Label], window: str) -> str:
    """Groups whose counter rose within `window`.

    A process that is wrong from its start has counted before the first scrape, where `increase` sees nothing: what
    stands above zero now and was not there an hour before the window is news too.
    """
    now = promql.selector(metric, matchers)
    lately = promql.selector(metric, matchers, window=window)
    before = promql.selector(metric, matchers, window=_MEMORY)
    group = promql.grouping(by)
    return (
        f"sum {group} (increase({lately})) > 0\n"
        f"or sum {group} (({now} > 0) unless last_over_time({before} offset {window}))"
    )
