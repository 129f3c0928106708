"""What the oldest Prometheus that reads the rules does not know yet, or no more.

What functions exist was asked of Prometheus 2.42, 2.53 and 3.5 themselves; what lies between is a doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from locant_slo.expression import selectors, tokens
from locant_slo.indicators.native_latency import NativeLatency
from locant_slo.objections.said import Diagnostic, error, warning
from locant_slo.spec import Objective, Spec

Version = tuple[int, int]

KEEP_FIRING_FROM: Version = (2, 42)
OLDEST: Version = (2, 33)
"""Older ones were never asked; what the rules need besides `keep_firing_for` was there by then."""
_OFFSET_FROM: Version = (2, 53)
_QUOTED_FROM: Version = (3, 0)
_NATIVE_FROM: Version = (2, 40)
_NATIVE_STABLE_FROM: Version = (3, 8)
_RENAMED_IN: Version = (3, 0)
_FUNCTIONS: Mapping[str, tuple[Version, Version | None]] = {
    **dict.fromkeys(("histogram_avg", "histogram_stddev", "histogram_stdvar"), ((2, 42), (2, 53))),
    **dict.fromkeys(("mad_over_time", "sort_by_label", "sort_by_label_desc"), ((2, 42), (2, 53))),
    **dict.fromkeys(("limitk", "limit_ratio", "info", "double_exponential_smoothing"), ((2, 53), (3, 5))),
    **dict.fromkeys(("ts_of_max_over_time", "ts_of_min_over_time"), ((2, 53), (3, 5))),
    "first_over_time": ((3, 5), None),
}
"""The newest version that was found not to know it, and the oldest that was found to."""


def version_of(spec: Spec) -> Version:
    """The oldest Prometheus that reads the rules."""
    major, minor = spec.prometheus.split(".")
    return int(major), int(minor)


def about_service(spec: Spec) -> Iterator[Diagnostic]:
    """What the service asks of an older Prometheus."""
    version = version_of(spec)
    if version < OLDEST:
        yield error("prometheus", f"{spec.prometheus} is older than {_text(OLDEST)}, the oldest that is supported")
    if version < KEEP_FIRING_FROM:
        yield warning(
            "prometheus",
            f"{spec.prometheus} does not know keep_firing_for ({_text(KEEP_FIRING_FROM)} does), so alerts end as soon "
            "as their condition does and may flap",
        )
    if spec.query_offset is not None and version < _OFFSET_FROM:
        yield error(
            "query_offset",
            f"Prometheus {spec.prometheus} does not know it; raise prometheus to '{_text(_OFFSET_FROM)}' or drop it",
        )


def about_objective(spec: Spec, objective: Objective, path: str) -> Iterator[Diagnostic]:
    """What an objective's expressions ask of an older Prometheus."""
    version = version_of(spec)
    if isinstance(objective.indicator, NativeLatency):
        yield from _native(version, f"{path}.indicator")
    for field, text in objective.indicator.texts().items():
        where = f"{path}.indicator.{field}"
        if version < _QUOTED_FROM and any(selector.quoted for selector in selectors(text)):
            yield error(where, f"names in quotes need Prometheus 3.0, and prometheus says {spec.prometheus}")
        parts = tokens(text)
        called = {part.text for part, after in pairwise(parts) if after.text == "("}
        for name in sorted(called):
            yield from _function(name, version, where)


def _native(version: Version, path: str) -> Iterator[Diagnostic]:
    if version < _NATIVE_FROM:
        yield error(path, f"native histograms need Prometheus {_text(_NATIVE_FROM)}; use kind latency with a bucket")
    elif version < _NATIVE_STABLE_FROM:
        yield warning(
            path,
            f"before Prometheus {_text(_NATIVE_STABLE_FROM)} native histograms are an experiment: start it with "
            "--enable-feature=native-histograms",
        )


def _function(name: str, version: Version, path: str) -> Iterator[Diagnostic]:
    if name == "holt_winters" and version >= _RENAMED_IN:
        yield error(path, "holt_winters is called double_exponential_smoothing since Prometheus 3.0")
    lacks, knows = _FUNCTIONS.get(name, ((0, 0), (0, 0)))
    if version <= lacks:
        yield error(path, f"Prometheus {_text(version)} does not know {name}; {_since(knows)}")
    elif knows is None or version < knows:
        yield warning(path, f"Prometheus {_text(version)} may not know {name}; {_since(knows)}")


def _since(knows: Version | None) -> str:
    return f"{_text(knows)} does" if knows else "no version that was asked does"


def _text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
