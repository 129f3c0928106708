"""Every recorded series, rule label and alert name that the rules and the dashboards share."""

from __future__ import annotations

import hashlib

# Recorded series. `{window}` is a Prometheus duration. Each carries `slo`, `service` and `indicator`; all but the
# objective and the info series also the labels of the objective's group, `model` and `model_version` where nothing is
# said; the budget has those of `budget_group`, because a new release does not buy a new budget. Which windows exist:
# `burn.recorded_windows`.
BAD_INCREASE = "locant:sli_bad_events:increase{window}"
EVENTS_INCREASE = "locant:sli_events:increase{window}"
ERROR_RATIO = "locant:sli_error:ratio{window}"
BAD_SLICES = "locant:sli_bad_slices:count"
SLICES = "locant:sli_slices:count"
"""Of a gauge: how many of its series were looked at in the last evaluation, and how many of them were bad."""
EXCLUDED_BAD = "locant:sli_excluded_bad_events:increase{window}"
EXCLUDED_EVENTS = "locant:sli_excluded_events:increase{window}"
"""What maintenance and the quiet after a release take out of the counts; 0 outside of them. Base window only."""
PERIOD_BAD = "locant:sli_period_bad_events:increase{window}"
PERIOD_EVENTS = "locant:sli_period_events:increase{window}"
"""The base counts of an objective with a calendar, each with the `period` that it belongs to."""
UTC_OFFSET = "locant:time:utc_offset_seconds"
PERIOD_INFO = "locant:time:period"
MAINTENANCE = "locant:time:maintenance"
DEPLOY = "locant:time:deploy"
"""1 while they last, by service. The period carries its number as a label."""
OBJECTIVE = "locant:slo_objective:ratio"
BUDGET_REMAINING = "locant:slo_budget_remaining:ratio"
BURN_RATE = "locant:slo_burn_rate:ratio"
"""Over the shortest long window of the tiers (`burn.burn_rate_window`), without a window label."""
SLO_INFO = "locant:slo:info"
"""Always 1; adds `team`, `target`, `window` and the labels of the spec and of the objective."""

# Labels on rules and alerts.
SLO = "slo"
SERVICE = "service"
TEAM = "team"
TIER = "tier"
SEVERITY = "severity"
LONG_WINDOW = "long_window"
SHORT_WINDOW = "short_window"
WINDOW = "window"
TARGET = "target"
FAULT = "fault"
CAUSE = "cause"
SIMILARITY = "similarity"
TIME_ZONE = "time_zone"
CALENDAR = "calendar"
PERIOD = "period"
STRETCH = "stretch"

# Alert names. `{Slo}` is the SLO's name in CamelCase.
BURN_ALERT = "Locant{Slo}BudgetBurn"
NO_DATA_ALERT = "Locant{Slo}NoData"
FINDING_ALERT = "LocantPositionalFault"
SILENT_PROBE_ALERT = "LocantProbeSilent"
DROPS_ALERT = "LocantObservationsDropped"
STALE_CANARY_ALERT = "LocantCanaryStale"
COVERAGE_ALERT = "LocantCoverageLost"
SERIES_REFUSED_ALERT = "LocantSeriesRefused"
PROBE_ERRORS_ALERT = "LocantProbeErrors"
OVERHEAD_ALERT = "LocantProbeOverhead"
LAG_ALERT = "LocantObservationsLate"
EXPORT_ERRORS_ALERT = "LocantExportErrors"

# Runbooks, without `.md`. A positional fault has one more for each failure mode, named by its word.
BURN_RUNBOOK = "budget_burn"
NO_DATA_RUNBOOK = "no_data"
FINDING_RUNBOOK = "positional_fault"
SILENT_PROBE_RUNBOOK = "probe_silent"
DROPS_RUNBOOK = "observations_dropped"
STALE_CANARY_RUNBOOK = "canary_stale"
COVERAGE_RUNBOOK = "coverage_lost"
SERIES_REFUSED_RUNBOOK = "series_refused"
PROBE_ERRORS_RUNBOOK = "probe_errors"
OVERHEAD_RUNBOOK = "probe_overhead"
LAG_RUNBOOK = "observations_late"
EXPORT_ERRORS_RUNBOOK = "export_errors"


def dashboard_uid(board: str, service: str) -> str:
    """A board's address in Grafana: the same for every run, and within Grafana's 40 characters for any service."""
    return f"locant-{board}-{hashlib.sha256(service.encode()).hexdigest()[:12]}"


def camel(name: str) -> str:
    """`padding-attention` or `padding_attention` as `PaddingAttention`."""
    return "".join(part.capitalize() for part in name.replace("_", "-").split("-"))
