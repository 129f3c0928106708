"""What came of a fault: whether it was found, whether its alerts fired, and after how long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from locant.demo.backends import FiringAlert
from locant.demo.faults import Drill
from locant.demo.screen import View
from locant.demo.slis import Events
from locant_slo import names
from locant_slo.catalogue import labels
from locant_slo.findings import Finding

CORRECTNESS = "sequence_correctness"
_CORRECTNESS_ALERT = names.BURN_ALERT.format(Slo=names.camel(CORRECTNESS))
_HARM = 0.05
_PREFIX = "bed-"


def model_name(bed: str) -> str:
    """The name that a bed's model bears in metrics, findings and alerts."""
    return f"{_PREFIX}{bed}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one drill. Seconds since the fault struck; None: never. `harm`: correctness before and
    after; `view`: the last moment."""

    drill: Drill
    found_after: float | None
    alert_after: float | None
    burn_after: float | None
    harm: tuple[float, float] | None
    view: View

    def proven(self, *, alerting: bool) -> bool:
        """Whether the fault was found, hurt the answers, and (where there is an Alertmanager) both alerts fired."""
        fired = not alerting or (self.alert_after is not None and self.burn_after is not None)
        hurt = self.harm is not None and self.harm[1] < self.harm[0] - _HARM
        return self.found_after is not None and fired and hurt


class Moment:
    """The first time at which something was true."""

    def __init__(self) -> None:
        self.at: float | None = None

    def note(self, seconds: float, happened: bool) -> None:
        """Keep `seconds` if it has now happened for the first time."""
        if happened and self.at is None:
            self.at = seconds


def is_of(finding: Finding, drill: Drill) -> bool:
    """Whether a finding names the drill's failure mode and model."""
    return finding.failure_mode is drill.failure_mode and finding.model == model_name(drill.bed)


def strays(findings: Iterable[Finding], drills: Iterable[Drill]) -> list[str]:
    """Findings that no drill explains: false alarms."""
    expected = {(drill.failure_mode, model_name(drill.bed)) for drill in drills}
    return [f"{one.check} on {one.model}" for one in findings if (one.failure_mode, one.model) not in expected]


def names_fault(alert: FiringAlert, drill: Drill) -> bool:
    """Whether an alert that somebody is told names the drill's failure mode and model."""
    fault = alert.labels.get(names.FAULT) == drill.failure_mode.word
    return alert.name == names.FINDING_ALERT and fault and _of_model(alert, drill) and not alert.muted


def burns(alert: FiringAlert, drill: Drill) -> bool:
    """Whether an alert says that the model's correctness budget burns."""
    return alert.name == _CORRECTNESS_ALERT and _of_model(alert, drill)


def _of_model(alert: FiringAlert, drill: Drill) -> bool:
    return alert.labels.get(labels.MODEL.name) == model_name(drill.bed)


def harm(before: Events | None, after: Events | None) -> tuple[float, float] | None:
    """Shares of good events before and after; None when a side has no events."""
    was = before.good_ratio if before is not None else None
    is_ = after.good_ratio if after is not None else None
    return None if was is None or is_ is None else (was, is_)
