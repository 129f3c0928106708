"""What the counts of one objective are narrowed to and grouped by, and the two ways in which events are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from locant_slo import promql
from locant_slo.durations import format_duration
from locant_slo.expression import narrowed, placed, the_selector


@dataclass(frozen=True, slots=True)
class Scope:
    """One objective as its queries see it: its names, the labels that stay, and what every selector must carry."""

    slo: str
    service: str
    group: tuple[str, ...]
    matchers: Mapping[str, str]

    def aggregated(self, how: str, expr: str) -> str:
        """`expr` as one sample for each group."""
        return f"{how} {promql.grouping(self.group)} ({expr})" if self.group else f"{how} ({expr})"

    def counted(self, text: str, window: int) -> str:
        """Events in the window: of counters where `text` is a selector, else by the user's own expression."""
        over, inside = format_duration(window), narrowed(text, self.matchers)
        if the_selector(text) is not None:
            return self.aggregated("sum", f"increase({inside}[{over}])")
        return self.aggregated("sum", placed(inside, over))


def filled(part: str, whole: str) -> str:
    """`part`, and 0 for the groups that only `whole` has: what was never counted is no gap."""
    return f"{part} or 0 * {whole}"
