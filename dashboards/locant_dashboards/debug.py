"""The debug board: attention per head, lengths, memory, and whether Locant itself is well."""

from __future__ import annotations

from locant_dashboards import variables
from locant_dashboards.frame import frame
from locant_dashboards.grafana import Dashboard, Section
from locant_dashboards.panels import attention, health, lengths
from locant_dashboards.queries import Queries
from locant_slo.spec import Spec


def debug(spec: Spec) -> Dashboard:
    """The board for whoever looks for the cause. The attention maps need the agent's debug tier."""
    q = Queries(spec)
    sections = (
        Section("Attention maps", (attention.maps(q), attention.heads(q))),
        Section("Attention by layer", (attention.spread(q), attention.places(q))),
        Section("Lengths and context", (lengths.lengths(q), lengths.quantiles(q))),
        Section("Memory and loss", (lengths.memory(q),)),
        Section(
            "Can Locant see?",
            (health.sight(spec, q), health.losses(spec, q), health.price(spec, q), health.agent(spec, q)),
        ),
    )
    text = "Attention per head, sequence lengths, memory, and the health of probe and agent."
    return frame(spec, "debug", "Debug", text, sections, more_variables=variables.focus(q), start="now-1h")
