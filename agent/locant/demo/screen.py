"""What the demo shows: a live screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from locant.demo.backends import FiringAlert
from locant.demo.slis import Events, Key
from locant_slo import names
from locant_slo.findings import Finding
from locant_slo.indicators import BY_ID

SHOWN = (
    "sequence_correctness",
    "extrapolation_accuracy",
    "position_integrity",
    "padding_attention",
    "padding_ratio",
    "streaming_chunks",
    "latency_per_token",
)


@dataclass(frozen=True, slots=True)
class View:
    """One moment of the demo: what is going on, indicators before and now, what was found, what fires."""

    headline: str
    seconds: float
    before: Mapping[Key, Events] = field(default_factory=dict)
    now: Mapping[Key, Events] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    alerts: Sequence[FiringAlert] = ()


class Screen:
    """Where the demo speaks. `plain` prints lines; otherwise the latest view stays on the screen and is replaced."""

    def __init__(self, console: Console, *, plain: bool) -> None:
        self._console = console
        self._live = (
            None if plain or not console.is_terminal else Live(console=console, auto_refresh=False, transient=True)
        )
        self._shown_at = 0.0

    def __enter__(self) -> Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def show(self, view: View) -> None:
        """The moment's view: replaced on a live screen, a line every few seconds on a plain one."""
        if self._live is not None:
            self._live.update(render(view), refresh=True)
        elif time.monotonic() - self._shown_at >= 5.0:
            self._shown_at = time.monotonic()
            users = ", ".join(f"{name} {text}" for name, text in view.users.items())
            counts = f"{len(view.findings)} findings, {len(view.alerts)} alerts"
            self.say(f"  {view.seconds:4.0f} s  users: {users}; {counts}")

    def print(self, part: RenderableType) -> None:
        """A block that stays."""
        self._console.print(part)


def render(view: View) -> RenderableType:
    """The whole view."""
    head = Text.assemble((f" {view.seconds:5.0f} s ", "reverse"), "  ", (view.headline, "bold"))
    users = Text("  ".join(f"{name}: {text}" for name, text in view.users.items()), style="cyan")
    parts: list[RenderableType] = [head, Text(""), users, indicators(view.before, view.now)]
    parts += [_line(one.severity.value, f"{_heading(one)}: {one.message}") for one in view.findings]
    parts += [_line("alert", f"{alert.name}: {alert.summary}") for alert in view.alerts if not alert.muted]
    return Panel(Group(*parts), title="locant demo", border_style="blue")


def indicators(before: Mapping[Key, Events], now: Mapping[Key, Events]) -> Table:
    """Indicators by model, before the fault and now."""
    models = sorted({model for _, model in now})
    table = Table(title="share of good events: before → now", expand=True)
    table.add_column("indicator")
    for model in models:
        table.add_column(model, justify="right")
    for indicator in SHOWN:
        cells = [_cell(before.get((indicator, model)), now.get((indicator, model))) for model in models]
        if any(cell.plain != "–" for cell in cells):
            table.add_row(BY_ID[indicator].title, *cells)
    return table


def findings(found: Sequence[Finding]) -> RenderableType:
    """Findings, each with its sentence, which carries the evidence."""
    lines: list[RenderableType] = [Text("findings", style="italic")]
    for one in found:
        lines.append(Text.assemble(_loud(one.severity.value), (f" {_heading(one)}", "bold")))
        lines.append(Padding(Text(one.message), (0, 0, 0, 5)))
    return Group(*lines)


def alerts(firing: Sequence[FiringAlert]) -> Table:
    """Alerts that Alertmanager holds."""
    table = Table(title="firing in Alertmanager", expand=True)
    table.add_column("alert", no_wrap=True)
    table.add_column("severity")
    table.add_column("summary", ratio=1)
    for alert in sorted(firing, key=lambda one: (one.muted, one.name)):
        muted = " (inhibited)" if alert.muted else ""
        table.add_row(f"{alert.name}{muted}", _loud(alert.labels.get(names.SEVERITY, "")), escape(alert.summary))
    return table


def _cell(before: Events | None, now: Events | None) -> Text:
    was = before.good_ratio if before is not None else None
    is_ = now.good_ratio if now is not None else None
    if is_ is None:
        return Text("–")
    text = f"{is_:.1%}" if was is None else f"{was:.1%} → {is_:.1%}"
    return Text(text, style="bold red" if was is not None and is_ < was - 0.01 else "green")


def _heading(one: Finding) -> str:
    return f"{one.failure_mode.value} {one.failure_mode.word} on {one.model}, {one.count} times: {one.check}"


def _line(mark: str, text: str) -> Text:
    """One line whatever the width: a live screen that grows past the terminal loses its end."""
    line = Text.assemble((f"{mark:>6} ", "bold red"), text)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _loud(severity: str) -> Text:
    return Text(severity, style={"page": "bold red", "ticket": "yellow"}.get(severity, ""))
