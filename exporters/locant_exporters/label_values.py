"""Label values as the wire can carry them."""

from __future__ import annotations

from locant_slo.catalogue import Metric

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def label_set(metric: Metric, values: tuple[str, ...]) -> dict[str, str]:
    """Label names to values. Raises ValueError when a sample has not exactly the labels of its metric.

    Quotes, backslashes and newlines stay: each format escapes them. Lone surrogates (no UTF-8) and NUL (Prometheus
    ends the document there, and loses every later series) become U+FFFD: a model's odd name must not cost a scrape.
    """
    return {name: storable(value) for name, value in zip(metric.label_names, values, strict=True)}


def storable(value: str) -> str:
    """`value` without what no wire carries."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", _REPLACEMENT)
