"""Arithmetic behind the indicators. Pure functions on counts and sums; no state, no dependencies."""

from locant_slo.statistics.buckets import bucket_index, length_bucket, position_bucket
from locant_slo.statistics.distance import merge_counts, wasserstein_octaves
from locant_slo.statistics.proportion import paired_log_evidence, wilson_interval
from locant_slo.statistics.shift import mean_shift

__all__ = [
    "bucket_index",
    "length_bucket",
    "mean_shift",
    "merge_counts",
    "paired_log_evidence",
    "position_bucket",
    "wasserstein_octaves",
    "wilson_interval",
]
