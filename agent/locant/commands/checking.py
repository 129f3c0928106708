"""A spec against programs outside: promtool for its PromQL, a running Prometheus for its series."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from locant_slo.errors import SpecError

if TYPE_CHECKING:
    from locant_slo.load import Diagnostic
    from locant_slo.spec import Spec


def check_syntax(path: str, specs: Sequence[Spec]) -> None:
    """Raise SpecError for PromQL that promtool cannot read; where there is no promtool, say so."""
    from locant_alerts.syntax import own_texts, syntax_problems

    if not own_texts(specs):
        return
    promtool = shutil.which("promtool")
    if promtool is None:
        click.echo(f"NOT CHECKED: {path}: nobody has read its PromQL, for promtool is not installed", err=True)
        return
    if problems := syntax_problems(promtool, specs):
        raise SpecError(path, problems)


def live_warnings(path: str, specs: Sequence[Spec], url: str) -> list[Diagnostic]:
    """What the series of a Prometheus leave in doubt. Raises SpecError for what they rule out."""
    from locant_alerts.history.api import Prometheus
    from locant_alerts.live import live_objections

    with Prometheus(url) as api:
        found = [
            item
            for spec in specs
            for item in live_objections(spec, lambda query: [labels for labels, _ in api.instant(query, time.time())])
        ]
    if errors := tuple(f"{item.path}: {item.sentence}" for item in found if item.severity == "error"):
        raise SpecError(path, errors)
    return found
