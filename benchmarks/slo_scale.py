"""Five hundred SLOs: seconds to compile them, and what their rules cost a real Prometheus beside those of Sloth.

Sloth's rules are written here from its published formulas for 30 days: eight ratios, seven of metadata, two alerts.
Both run over the same counters, six hours of a sample every 30 seconds. Needs prometheus and promtool.

    python benchmarks/slo_scale.py [SLOs on the Prometheus, default 100]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path
from subprocess import DEVNULL, Popen, run

import yaml

from locant_alerts.rules import build_rules
from locant_slo.load import parse_spec

SECONDS, STEP = 6 * 3_600, 30
WINDOWS = {"5m": 30, "30m": 30, "1h": 30, "2h": 30, "6h": 30, "1d": 30, "3d": 30}
ADDRESS = "127.0.0.1:19190"


def spec_text(count: int) -> str:
    """A spec of so many objectives on counters of their own."""
    objectives = [
        {
            "name": f"slo-{n}",
            "target": 0.999,
            "indicator": {"kind": "events", "bad": f'requests_total{{slo="{n}", code="5"}}', "total": _all(n)},
        }
        for n in range(count)
    ]
    head = {"version": "locant/v1", "service": "bench", "retention": "40d", "health": {"enabled": False}}
    return yaml.safe_dump(head | {"objectives": objectives})


def _all(n: int) -> str:
    return f'requests_total{{slo="{n}"}}'


def sloth_rules(count: int) -> str:
    """The same objectives by Sloth's published formulas, a group for ratios, metadata and alerts each."""
    groups = []
    for n in range(count):
        who = {"sloth_id": f"s-{n}", "sloth_service": "s", "sloth_slo": str(n)}
        which = f'{{sloth_id="s-{n}"}}'

        def ratio(window: str, n: int = n) -> str:
            bad = f'requests_total{{slo="{n}", code="5"}}'
            return f"sum(rate({bad}[{window}])) / sum(rate({_all(n)}[{window}]))"

        name = "slo:sli_error:ratio_rate"
        month = f"sum_over_time({name}5m{which}[30d]) / ignoring (sloth_window) count_over_time({name}5m{which}[30d])"
        ratios = [(f"{name}{window}", ratio(window)) for window in WINDOWS] + [(f"{name}30d", month)]
        meta = [
            ("slo:objective:ratio", "vector(0.999)"),
            ("slo:error_budget:ratio", "vector(1 - 0.999)"),
            ("slo:time_period:days", "vector(30)"),
            ("slo:current_burn_rate:ratio", f"{name}5m{which} / on () group_left () slo:error_budget:ratio{which}"),
            ("slo:period_burn_rate:ratio", f"{name}30d{which} / on () group_left () slo:error_budget:ratio{which}"),
            ("slo:period_error_budget_remaining:ratio", f"1 - slo:period_burn_rate:ratio{which}"),
            ("sloth_slo_info", "vector(1)"),
        ]
        alerts = []
        for kind, pairs in (
            ("page", (("5m", "1h", 14.4), ("30m", "6h", 6))),
            ("ticket", (("2h", "1d", 3), ("6h", "3d", 1))),
        ):
            both = [
                f"(max({name}{short}{which} > ({factor} * 0.001)) and max({name}{long}{which} > ({factor} * 0.001)))"
                for short, long, factor in pairs
            ]
            alerts.append({"alert": f"Burn{n}", "expr": " or ".join(both), "labels": {"severity": kind}})
        for part, rules in (
            ("sli", [{"record": record, "expr": expr, "labels": who} for record, expr in ratios]),
            ("meta", [{"record": record, "expr": expr, "labels": who} for record, expr in meta]),
            ("alerts", alerts),
        ):
            groups.append({"name": f"sloth-{part}-{n}", "interval": "30s", "rules": rules})
    return json.dumps({"groups": groups})


def write_history(path: Path, count: int) -> None:
    """Six hours of both counters of every objective, up to now."""
    end = int(time.time())
    with path.open("w") as file:
        print("# TYPE requests counter", file=file)
        for n in range(count):
            for code, rise in (("2", 100), ("5", 1)):
                for at in range(SECONDS // STEP):
                    moment = end - SECONDS + at * STEP
                    print(f'requests_total{{slo="{n}",code="{code}"}} {rise * at} {moment}', file=file)
        print("# EOF", file=file)


def costs(folder: Path) -> dict[str, float]:
    """Cores that each generator's rules keep busy, after every group was evaluated."""
    flags = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    server = Popen(["prometheus", *flags, f"--web.listen-address={ADDRESS}", "--log.level=error"])
    try:
        time.sleep(290)
        with urllib.request.urlopen(f"http://{ADDRESS}/api/v1/rules", timeout=60) as response:
            groups = json.load(response)["data"]["groups"]
    finally:
        server.terminate()
        server.wait(20)
    found: dict[str, float] = defaultdict(float)
    for group in groups:
        kind = "sloth" if group["name"].startswith("sloth") else "locant"
        found[kind] += group["evaluationTime"] / group["interval"]
        found[f"{kind} a pass"] += group["evaluationTime"]
    return found


def main() -> None:
    """Print both measures."""
    text = spec_text(500)
    began = time.process_time()
    rules = build_rules(parse_spec(text, "bench.yaml"))
    print(
        f"500 SLOs: {time.process_time() - began:.1f} s of CPU to read and compile, {len(rules) / 1e6:.1f} MB of rules"
    )
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_history(folder / "history.txt", count)
        command = ["promtool", "tsdb", "create-blocks-from", "openmetrics"]
        run([*command, str(folder / "history.txt"), str(folder / "data")], check=True, stdout=DEVNULL)
        (folder / "locant.yaml").write_text(build_rules(parse_spec(spec_text(count), "bench.yaml")))
        (folder / "sloth.yaml").write_text(sloth_rules(count))
        files = [str(folder / f"{kind}.yaml") for kind in ("locant", "sloth")]
        (folder / "prometheus.yml").write_text(json.dumps({"rule_files": files}))
        found = costs(folder)
    for kind in ("locant", "sloth"):
        each, busy = found[f"{kind} a pass"] / count, found[kind] / count
        print(f"{kind}: {1e3 * each:.1f} ms an SLO for all its rules once, {1e3 * busy:.2f} ms a second as scheduled")


if __name__ == "__main__":
    main()
