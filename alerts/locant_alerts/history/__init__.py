"""Where counted traffic comes from: a CSV file, a Prometheus, the folder of a Prometheus, or arithmetic."""

from __future__ import annotations

from locant_alerts.history.stretch import History, Incident

__all__ = ["History", "Incident"]
