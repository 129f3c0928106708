"""A thin, pure layer over grafanalib 0.7.1: today's panels, and one function that brings the rest up to date.

grafanalib is frozen at schemaVersion 12 and at the panels of Grafana 8. What it still does well is the object model and
the `generate-dashboard` command, and both stay in use. Nothing here patches it.
"""

from locant_dashboards.grafana.bars import BarGauge, Gauge, Stat
from locant_dashboards.grafana.board import Dashboard
from locant_dashboards.grafana.fields import Override, Step
from locant_dashboards.grafana.heatmap import Heatmap
from locant_dashboards.grafana.layout import Line, Section, lay_out
from locant_dashboards.grafana.modernise import SCHEMA_VERSION, modernise
from locant_dashboards.grafana.panel import ModernPanel
from locant_dashboards.grafana.table import Table, matrix
from locant_dashboards.grafana.target import DATASOURCE, PromTarget
from locant_dashboards.grafana.timeseries import TimeSeries

__all__ = [
    "DATASOURCE",
    "SCHEMA_VERSION",
    "BarGauge",
    "Dashboard",
    "Gauge",
    "Heatmap",
    "Line",
    "ModernPanel",
    "Override",
    "PromTarget",
    "Section",
    "Stat",
    "Step",
    "Table",
    "TimeSeries",
    "lay_out",
    "matrix",
    "modernise",
]
