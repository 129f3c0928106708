"""PromQL from catalogue entries, so that no query spells a metric or a label by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Context, Decimal

from locant_slo.catalogue import Label, Metric

Matchers = Mapping[Label, str] | Mapping[str, str] | Mapping[Label | str, str]
"""Label (or label name) to value. A value that starts with `~`, `!` or `!~` picks that operator, else `=`."""

_DIGITS = Context(prec=15)


def number(value: Decimal) -> str:
    """A decimal as PromQL and YAML read it back: no exponent, no trailing zeros, 15 digits (what a float holds)."""
    return f"{_DIGITS.create_decimal(value).normalize():f}"


def quote(value: str) -> str:
    """A PromQL string literal."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def matcher(label: Label | str, value: str) -> str:
    """One matcher, as in `severity="page"`; Alertmanager reads the same notation."""
    name = label if isinstance(label, str) else label.name
    for prefix, operator in (("!~", "!~"), ("~", "=~"), ("!", "!=")):
        if value.startswith(prefix):
            return f"{name}{operator}{quote(value[len(prefix) :])}"
    return f"{name}={quote(value)}"


def selector(metric: Metric | str, matchers: Matchers | None = None, *, window: str = "", suffix: str = "") -> str:
    """An instant selector, or a range selector when `window` is given. `suffix`: `_bucket`, `_sum` or `_count`."""
    name = metric if isinstance(metric, str) else metric.prometheus_name
    inside = ", ".join(matcher(label, value) for label, value in (matchers or {}).items())
    return f"{name}{suffix}" + (f"{{{inside}}}" if inside else "") + (f"[{window}]" if window else "")


def grouping(labels: Iterable[Label | str]) -> str:
    """`by (a, b)` for an aggregation."""
    return f"by ({_listed(labels)})"


def matching(labels: Iterable[Label | str]) -> str:
    """`on (a, b)` for a binary operation."""
    return f"on ({_listed(labels)})"


def _listed(labels: Iterable[Label | str]) -> str:
    return ", ".join(label if isinstance(label, str) else label.name for label in labels)
