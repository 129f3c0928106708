"""What Locant says of itself: the metrics of tier self."""

from __future__ import annotations

from locant_slo.catalogue import labels as la
from locant_slo.catalogue.metric import Tier, counter, gauge, histogram

_MODEL = (la.MODEL, la.MODEL_VERSION)
_SECONDS = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.05, 0.1)

OBSERVATIONS = counter("locant.observations", "{observation}", "Observations received.", *_MODEL, tier=Tier.SELF)
OBSERVATIONS_DROPPED = counter(
    "locant.observations.dropped", "{observation}", "Observations lost, by reason.", la.REASON, tier=Tier.SELF
)
QUEUE_DEPTH = gauge(
    "locant.queue.depth",
    "{observation}",
    "Observations waiting to be judged; in a sidecar, the most that one reading of its socket found in a second.",
    tier=Tier.SELF,
)
OBSERVATION_LAG = gauge(
    "locant.observation.lag.seconds",
    "s",
    "Age of the last observation when it was judged: what waits in queues and on the socket.",
    tier=Tier.SELF,
)
LAST_OBSERVATION = gauge(
    "locant.last.observation.timestamp.seconds",
    "s",
    "Unix time of a model's last observation.",
    *_MODEL,
    tier=Tier.SELF,
)
PROBE_DURATION = histogram(
    "locant.probe.duration.seconds",
    "s",
    "Time the probe spent, by stage.",
    _SECONDS,
    la.STAGE,
    tier=Tier.SELF,
)
PROBE_OVERHEAD = gauge(
    "locant.probe.overhead.ratio",
    "1",
    "Time the probe took in the model's threads over the time of the forward passes, over the last ten seconds or so.",
    *_MODEL,
    tier=Tier.SELF,
)
PROBE_LOOKS = counter(
    "locant.probe.looks",
    "{look}",
    "Passes wanted for a closer look (attention, rotary values), by what became of it.",
    la.LOOK,
    *_MODEL,
    tier=Tier.SELF,
)
PROBE_REQUESTS = counter(
    "locant.probe.requests",
    "{request}",
    "The agent's requests to look at a whole pass for a finding, by what became of them.",
    la.REQUEST,
    *_MODEL,
    tier=Tier.SELF,
)
PROBE_ERRORS = counter(
    "locant.probe.errors",
    "{error}",
    "Errors of the probe itself; each switches its part off.",
    la.PART,
    *_MODEL,
    tier=Tier.SELF,
)
WATCH_COVERAGE = gauge(
    "locant.watch.coverage.ratio",
    "1",
    "Share of forward passes in which a signal could be seen. What is not seen is not healthy.",
    la.SIGNAL,
    *_MODEL,
    tier=Tier.SELF,
)
SERIES = gauge("locant.agent.series", "{series}", "Series held by the store.", tier=Tier.SELF)
SERIES_REFUSED = counter("locant.agent.series.refused", "{series}", "Series refused by the hard cap.", tier=Tier.SELF)
AGENT_CPU = counter(
    "locant.agent.cpu.seconds", "s", "Processor time of a separate agent's process, user and system.", tier=Tier.SELF
)
AGENT_MEMORY = gauge(
    "locant.agent.memory.bytes", "By", "Resident memory of a separate agent's process.", tier=Tier.SELF
)
EXPORTS = counter("locant.exports", "{export}", "Exports of a snapshot.", la.EXPORTER, la.OUTCOME, tier=Tier.SELF)
EXPORT_DURATION = counter(
    "locant.export.duration.seconds", "s", "Time that exports took, failed ones included.", la.EXPORTER, tier=Tier.SELF
)
