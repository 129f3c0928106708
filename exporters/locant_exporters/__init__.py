"""Snapshot out: Prometheus exposition over HTTP, OTLP metrics and spans."""
