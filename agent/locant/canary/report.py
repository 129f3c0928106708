"""What one canary run found, as a value, as a text and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locant_slo.errors import ConfigError, MachineError

FORMAT = "locant.canary/1"


@dataclass(frozen=True, slots=True)
class Result:
    """One case answered. `twin_right`: the same task inside the trained length. `exact`: an identity, where a break is
    no matter of chance. `detail` says what was wrong, or how far two ways were apart."""

    case: str
    task: str
    tokens: int
    beyond_trained: bool
    right: bool
    exact: bool
    detail: str
    twin_right: bool | None = None
    loss_nats: tuple[tuple[str, float, int], ...] = ()

    @property
    def counts(self) -> bool:
        """Whether a wrong answer is a fault: beyond the trained length a model may not know better."""
        return not self.beyond_trained


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """One run of a suite. `time` is in Unix seconds, `seconds` what the run took."""

    suite: str
    suite_checksum: str
    time: float
    seconds: float
    results: tuple[Result, ...]
    skipped: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether something was asked and every case inside the trained length was right."""
        asked = [result for result in self.results if result.counts]
        return bool(asked) and all(result.right for result in asked)

    @property
    def text(self) -> str:
        """Lines for a terminal: a line for each task, the first wrong cases, what was not asked."""
        return "\n".join([*self._tasks(), *self._wrong(), *(f"not asked: {reason}" for reason in self.skipped)])

    def _tasks(self) -> list[str]:
        asked = Counter((result.task, result.beyond_trained) for result in self.results)
        right = Counter((result.task, result.beyond_trained) for result in self.results if result.right)
        suffix = {False: "", True: " beyond the trained length"}
        return [f"{task}{suffix[far]}: {right[task, far]} of {n} right" for (task, far), n in asked.items()]

    def _wrong(self, most: int = 5) -> list[str]:
        wrong = [result for result in self.results if result.counts and not result.right]
        lines = [f"wrong: {result.case}: {result.detail}" for result in wrong[:most]]
        return [*lines, f"... and {len(wrong) - most} more"] if len(wrong) > most else lines

    def to_dict(self) -> dict[str, Any]:
        """What `gate` compares, ready for JSON."""
        cases = {
            result.case: {
                "right": result.right,
                "exact": result.exact,
                "beyond_trained": result.beyond_trained,
                "detail": result.detail,
            }
            for result in self.results
        }
        return {
            "format": FORMAT,
            "suite": self.suite,
            "suite_checksum": self.suite_checksum,
            "time": self.time,
            "cases": cases,
        }


def merged(reports: list[CanaryReport]) -> CanaryReport:
    """Runs of one suite as one report; of a case asked twice, the later answer stands."""
    last = reports[-1]
    results = {result.case: result for report in reports for result in report.results}
    skipped = tuple(dict.fromkeys(reason for report in reports for reason in report.skipped))
    seconds = sum(report.seconds for report in reports)
    return CanaryReport(last.suite, last.suite_checksum, last.time, seconds, tuple(results.values()), skipped)


def save_results(content: Mapping[str, Any], path: Path) -> None:
    """Write results for `gate`. Raises MachineError when that is not possible."""
    try:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise MachineError(f"{path}: cannot be written ({error.strerror}); choose another file") from None


def load_results(path: Path) -> dict[str, Any]:
    """Results that `save_results` wrote. Raises MachineError or ConfigError with the path and the cure."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror}); write it with locant canary --save") from None
    except ValueError as error:
        raise ConfigError(f"{path}: is no JSON ({error}); write it with locant canary --save") from None
    if isinstance(content, dict) and str(content.get("schema_version", "")).startswith("locant/references/"):
        raise ConfigError(
            f"{path}: is a reference of `locant pin`, which a running agent compares with (reference_path); "
            "for the gate write results with locant canary --save"
        )
    if not _sound(content):
        raise ConfigError(f"{path}: holds no {FORMAT} results; write it with locant canary --save")
    return dict(content)


def _sound(content: Any) -> bool:
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("cases"), dict):
        return False
    return all(isinstance(case, dict) and isinstance(case.get("right"), bool) for case in content["cases"].values())
