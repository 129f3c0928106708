"""Whether a release may go out: its canary answers beside its predecessor's, case by case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from typing import Any, Literal

from locant.canary.report import load_results
from locant_slo.errors import ConfigError
from locant_slo.statistics import paired_log_evidence, wilson_interval

Outcome = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What the pairs say. `evidence_nats` is the log of the odds against "no worse"; `regression_limit` the upper end
    of the 95 % Wilson interval of the share of questions that newly fail; both 0 without questions."""

    outcome: Outcome
    sentence: str
    compared: int
    newly_failing: tuple[str, ...]
    newly_passing: tuple[str, ...]
    evidence_nats: float
    regression_limit: float


def gate(
    reference: Mapping[str, Any], candidate: Mapping[str, Any], *, alpha: float = 0.01, tolerated: float = 0.05
) -> GateVerdict:
    """Compare two results of the same suite.

    `fail`: an identity that held is broken, or the paired evidence of the questions exceeds 1 / `alpha`. `pass`: with
    95 % confidence fewer than the `tolerated` share of questions newly fail; without questions, every identity that
    held still holds. Otherwise `undecided`: identities have no share in chance, questions do.
    Raises ConfigError when the suites differ or share no case: such results cannot be compared.
    """
    _comparable(reference, candidate)
    before, after = reference["cases"], candidate["cases"]
    paired = sorted(set(before) & set(after))
    failing = tuple(case for case in paired if before[case]["right"] and not after[case]["right"])
    passing = tuple(case for case in paired if not before[case]["right"] and after[case]["right"])
    broken = [case for case in failing if after[case].get("exact")]
    questions = {case for case in paired if not after[case].get("exact")}
    evidence = paired_log_evidence(len(questions.intersection(failing)), len(questions.intersection(passing)))
    limit = wilson_interval(len(questions.intersection(failing)), len(questions))[1] if questions else 0.0
    outcome: Outcome = "undecided"
    if broken or evidence >= log(1 / alpha):
        outcome = "fail"
    elif limit < tolerated:
        outcome = "pass"
    sentence = _sentence(outcome, len(paired), failing, evidence, limit, tolerated, _why(broken, after))
    return GateVerdict(outcome, sentence, len(paired), failing, passing, evidence, limit)


def gate_files(reference: Path, candidate: Path) -> GateVerdict:
    """`gate` on two files of `locant canary --save`. Raises MachineError or ConfigError for unusable files."""
    return gate(load_results(reference), load_results(candidate))


def _comparable(reference: Mapping[str, Any], candidate: Mapping[str, Any]) -> None:
    ours, theirs = (results.get("suite_checksum") for results in (reference, candidate))
    if ours != theirs:
        raise ConfigError(
            f"the results are of different suites ({reference.get('suite')} {ours} and "
            f"{candidate.get('suite')} {theirs}); run the same suite on both releases"
        )
    if not set(reference["cases"]) & set(candidate["cases"]):
        raise ConfigError("the results share no case; run the same suite on both releases")


def _why(broken: list[str], after: Mapping[str, Any]) -> str:
    return f"{broken[0]} is broken: {after[broken[0]].get('detail', '')}" if broken else ""


def _sentence(
    outcome: Outcome, compared: int, failing: tuple[str, ...], evidence: float, limit: float, tolerated: float, why: str
) -> str:
    facts = f"{len(failing)} of {compared} cases newly fail"
    if outcome == "fail":
        odds = f"the odds against 'no worse' are {exp(min(evidence, 50.0)):.3g} to 1"
        return f"fail: {facts}; {why or odds}."
    if outcome == "pass":
        bound = f"with 95 % confidence at most {limit:.1%} do" if limit else "every identity that held still holds"
        return f"pass: {facts}; {bound}."
    return (
        f"undecided: {facts}, which rules out neither chance nor a regression of {tolerated:.0%} "
        f"(up to {limit:.1%} may newly fail); ask more cases."
    )
