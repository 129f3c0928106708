"""The demo's plot: calm, then fault after fault, each watched until it is found and its alert fires."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from locant.demo.backends import Backends
from locant.demo.faults import Drill, Fault
from locant.demo.screen import Screen, View
from locant.demo.slis import Events, Key, between, counted
from locant.demo.stage import Stage
from locant.demo.traffic import Served
from locant.demo.verdict import CORRECTNESS, Moment, Verdict, burns, harm, is_of, model_name, names_fault
from locant_slo.findings import Severity

_STEP_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to watch calm traffic, each fault at least, and each fault at most."""

    calm_seconds: float
    fault_seconds: float
    limit_seconds: float


class Director:
    """Runs the plot on a stage and shows it. `backends` is None where there are no servers."""

    def __init__(self, stage: Stage, backends: Backends | None, screen: Screen, pace: Pace) -> None:
        self._stage = stage
        self._backends = backends
        self._screen = screen
        self._pace = pace
        self._started = time.monotonic()
        self._calm: Mapping[Key, Events] = {}

    def watch_calm(self) -> list[str]:
        """Healthy traffic until every canary has answered; every finding or alert that it raised: none is right."""

        def settled(spent: float, view: View) -> bool:
            asked = [events.total for (indicator, _), events in view.now.items() if indicator == CORRECTNESS]
            return spent >= self._pace.calm_seconds and bool(asked) and all(asked)

        last = self._until("healthy traffic: nothing must be found", settled, 2 * self._pace.limit_seconds)
        self._calm = last.now
        return [
            *(f"finding {one.check} on {one.model}" for one in last.findings),
            *(f"alert {alert.name}" for alert in last.alerts),
        ]

    def run(self, drill: Drill) -> Verdict:
        """Let the fault strike, and watch until everything is proven or time is up. The fault stays."""
        key = (CORRECTNESS, model_name(drill.bed))
        alerting = self._backends is not None
        found, fired, burned = Moment(), Moment(), Moment()

        def verdict(view: View) -> Verdict:
            return Verdict(drill, found.at, fired.at, burned.at, harm(self._calm.get(key), view.now.get(key)), view)

        def settled(spent: float, view: View) -> bool:
            found.note(spent, any(is_of(one, drill) for one in view.findings))
            fired.note(spent, any(names_fault(alert, drill) for alert in view.alerts))
            burned.note(spent, any(burns(alert, drill) for alert in view.alerts))
            return spent >= self._pace.fault_seconds and verdict(view).proven(alerting=alerting)

        self._stage.strike(drill.bed, drill.fault)
        headline = f"{drill.fault.value} on {model_name(drill.bed)}: {drill.story}"
        return verdict(self._until(headline, settled, self._pace.limit_seconds))

    def recover(self, bed: str) -> None:
        """Put the sound engine back, and wait for a canary run that began after it: the second to end from now."""
        self._stage.strike(bed, Fault.NONE)
        runs = self._stage.canary_runs()

        def settled(spent: float, view: View) -> bool:
            return all(now >= runs[name] + 2 for name, now in self._stage.canary_runs().items())

        self._until(f"the engine of {model_name(bed)} is rolled back", settled, self._pace.limit_seconds)

    def idle(self) -> None:
        """Keep showing until interrupted."""
        self._until("left up for a look; Ctrl-C ends it", lambda spent, view: False, float("inf"))

    def _until(self, headline: str, done: Callable[[float, View], bool], limit_seconds: float) -> View:
        """Show what happens from now on, four times a second, until `done(seconds spent, view)`; the last view."""
        began, opening, served = time.monotonic(), counted(self._stage.snapshot()), self._stage.served()
        while True:
            view = View(
                headline=headline,
                seconds=time.monotonic() - self._started,
                before=self._calm,
                now=between(opening, counted(self._stage.snapshot())),
                users=self._users(served),
                findings=[one for one in self._stage.findings() if one.severity is not Severity.INFO],
                alerts=self._backends.alerts() if self._backends is not None else [],
            )
            self._screen.show(view)
            spent = time.monotonic() - began
            if done(spent, view) or spent >= limit_seconds:
                return view
            time.sleep(_STEP_SECONDS)

    def _users(self, served: Mapping[str, Served]) -> dict[str, str]:
        lately = {name: now.since(served[name]) for name, now in self._stage.served().items()}
        return {
            model_name(name): f"{one.right} of {one.requests} answers right"
            + (f", {one.errors} errors" * bool(one.errors))
            for name, one in lately.items()
        }
