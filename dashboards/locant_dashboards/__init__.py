"""Spec to Grafana dashboards: executive, on-call, debug."""
