"""The executive board: are the answers right, is a release worse, what does length cost, how much budget is left."""

from __future__ import annotations

from locant_dashboards import variables
from locant_dashboards.frame import frame
from locant_dashboards.grafana import Dashboard, Section
from locant_dashboards.panels import answers, budget, cost
from locant_dashboards.queries import Queries
from locant_slo.spec import Spec


def executive(spec: Spec) -> Dashboard:
    """The board for release owners and managers: one screen, no jargon, a week at a time."""
    q = Queries(spec)
    left = Section("How much error budget is left?", (budget.budgets(spec, q),))
    sections = (
        Section("Are the answers right?", (answers.answers(spec, q), answers.correctness(spec, q))),
        Section("Is a release worse than the one before?", (answers.regression(spec, q),)),
        Section("What do long sequences cost?", (cost.cost(q), cost.latency_by_length(spec, q))),
        left,
    )
    text = "Whether the model still answers right where position matters, and what sequence length costs."
    if not spec.probe:
        return frame(spec, "executive", "Executive", "How much error budget is left.", (left,), start="now-7d")
    price = (variables.hourly_price(),)
    return frame(spec, "executive", "Executive", text, sections, more_variables=price, start="now-7d")
