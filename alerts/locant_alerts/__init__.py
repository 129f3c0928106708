"""Spec to Prometheus rules, Alertmanager configuration and the tests that prove them."""
