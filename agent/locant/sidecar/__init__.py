"""Observations in, Snapshot and findings out: ledger, checks, statistics, store, service. No torch."""
