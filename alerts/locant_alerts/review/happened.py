"""What happened in the period, in words and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from locant_alerts.document import Block, Heading, Table
from locant_alerts.review.events import Fired, Found, Released
from locant_slo.durations import spoken_duration
from locant_slo.findings import FailureMode
from locant_slo.moments import format_moment


def happened(
    fired: Sequence[Fired] | None,
    released: Sequence[Released] | None,
    found: Sequence[Found] | None,
    group: Sequence[str],
) -> Iterator[Block]:
    """Alerts, with what their labels of `group` say they are of, releases and findings; None: nobody knows."""
    yield Heading("What happened")
    yield _fired_words(fired)
    if fired:
        yield Table(("alert", "tier", "severity", "of", "from", "for"), [_fired_row(one, group) for one in fired])
    yield from _released(released)
    yield from _found(found)


def _fired_words(fired: Sequence[Fired] | None) -> str:
    if fired is None:
        return "Alerts: unknown. The rules of this spec are not loaded where the numbers come from."
    return f"Alerts: {len(fired)}." if fired else "Alerts: none fired."


def _fired_row(one: Fired, group: Sequence[str]) -> tuple[str, ...]:
    subject = " ".join(one.labels[name] for name in group if one.labels.get(name))
    lasted = spoken_duration(one.end_seconds - one.start_seconds)
    return one.alert, one.tier or "-", one.severity, subject or "-", format_moment(one.start_seconds), lasted


def _released(released: Sequence[Released] | None) -> Iterator[Block]:
    if released is None:
        yield "Releases: unknown."
    elif not released:
        yield "Releases: none."
    else:
        yield f"Releases: {len(released)}."
        rows = [(one.model, one.version, format_moment(one.seconds)) for one in released]
        yield Table(("model", "release", "first seen"), rows)


def _found(found: Sequence[Found] | None) -> Iterator[Block]:
    if found is None:
        yield "Findings: unknown."
    elif not found:
        yield "Findings: none."
    else:
        yield "Findings, by failure mode:"
        rows = [(_mode(one.failure_mode), one.severity, str(one.count), str(one.count_before)) for one in found]
        yield Table(("failure mode", "severity", "in the period", "before"), rows)


def _mode(code: str) -> str:
    known = {mode.value: mode.word.replace("_", " ") for mode in FailureMode}
    return f"{code} {known[code]}" if code in known else code
