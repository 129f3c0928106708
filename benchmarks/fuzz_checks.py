"""The checks against random simulated traffic: `python benchmarks/fuzz_checks.py --runs 20000 --seed 100000`.

Prints every false alarm and every missed fault with the seed that plays it again, then the score. Exit status 1 on a
false alarm or when more than 2 % of the faults that change the output are missed.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections import Counter

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "sidecar" / "checks"))

from checks_scenarios import changes_output, draw, faults_of, run

from locant.observation import Observation
from locant.sidecar.judge import Judge
from locant_slo.findings import Severity

MOST_MISSED = 0.02


def alarms(sent: list[Observation]) -> list[str]:
    """What pages or opens a ticket in one world."""
    judge = Judge()
    found = (finding for observation in sent for finding in judge.judge(observation).findings)
    return [f"{finding.check}: {finding.message}" for finding in found if finding.severity is not Severity.INFO]


def main() -> int:
    """Play, print, score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=100_000, help="first seed")
    options = parser.parse_args()
    false, missed, injected = 0, Counter[str](), Counter[str]()
    for seed in range(options.seed, options.seed + options.runs):
        spec = draw(seed)
        if found := alarms(run(spec).sent):
            false += 1
            print(f"FALSE ALARM seed {seed} {spec.flow}: {found[0]}")
        for fault in faults_of(spec)[seed % 4 :: 4]:
            if not changes_output(spec, fault):
                continue
            injected[f"{spec.flow}/{fault}"] += 1
            if not alarms(run(spec, fault).sent):
                missed[f"{spec.flow}/{fault}"] += 1
                print(f"MISSED seed {seed} {spec.flow}/{fault}")
    total, lost = injected.total(), missed.total()
    kinds = ", ".join(f"{kind} {count}/{injected[kind]}" for kind, count in missed.most_common())
    print(f"healthy runs {options.runs}, false alarms {false}")
    print(f"faults that change the output {total}, reported {total - lost}")
    print(f"missed by kind: {kinds or 'none'}")
    return int(bool(false) or lost > MOST_MISSED * total)


if __name__ == "__main__":
    sys.exit(main())
