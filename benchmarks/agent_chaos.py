"""Everything that the world does to an agent, at full scale: `python benchmarks/agent_chaos.py`.

    python benchmarks/agent_chaos.py [--only agent_stopped,crowd] [--small] [--json OUT]

The scenarios of tests/chaos/chaos_scenarios.py, with a minute's stop, 10,000 connections and 1 GiB of garbage. Printed
for each: a verdict; passes of the watched model and how many answered otherwise than unwatched (or failed); what the
model's side dropped and what the agent counted as lost; medians of a pass's time, of its thread's processor time, and
how often that thread gave the processor away. A model that is held up by its observer waits more; on a busy machine
all passes take longer, and the processor time says whether they had more to do. Exit status 1 when a verdict is bad.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "chaos"))

from chaos_scenarios import FULL, SCENARIOS, Scale, play
from chaos_stage import Verdict


def line(name: str, found: Verdict) -> str:
    """One scenario's rows."""
    good = found.untouched and found.loss_counted
    lost = ", ".join(f"{count} {reason}" for reason, count in found.dropped.items() if count) or "nothing"
    return "\n".join(
        (
            f"{name}: {'untouched, loss counted, recovered' if good else 'BAD'}. {found.note}".rstrip(),
            f"  {found.passes} passes, {found.wrong_outputs} wrong, {found.errors} failed; of {found.offered} "
            f"observations dropped {lost}, agent counted {found.counted_as_dropped:.0f} lost",
            f"  a pass before, during, after: {phases(found.wall_ms)} ms; processor {phases(found.cpu_ms)} ms; "
            f"waits in 100 passes {phases(found.waits)}",
        )
    )


def phases(values: tuple[float, float, float]) -> str:
    """Three numbers."""
    return ", ".join(f"{value:.2f}" for value in values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="scenarios, with commas between")
    parser.add_argument("--small", action="store_true", help="at the suite's scale")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    names, found = set(chosen.only.split(",")) - {""}, {}
    for scenario in SCENARIOS:
        if names and scenario.__name__ not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            verdict = play(scenario, Path(folder), Scale() if chosen.small else FULL)
        found[scenario.__name__] = verdict
        print(line(scenario.__name__, verdict), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps({name: asdict(verdict) for name, verdict in found.items()}, indent=1))
    return int(not all(verdict.untouched and verdict.loss_counted for verdict in found.values()))


if __name__ == "__main__":
    sys.exit(main())
