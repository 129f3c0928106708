"""Every parser that reads from outside, fuzzed with coverage to guide it: `python benchmarks/fuzz_parsers.py`.

    python benchmarks/fuzz_parsers.py [--inputs 100000] [--only frame,spec] [--rss-limit-mb 1024] [--json OUT]

One process of libFuzzer (through atheris) for each parser in tests/fuzz/fuzz_targets.py: an input that reaches a new
branch is kept and damaged further. Printed: inputs, seconds, inputs a second, coverage (control-flow edges reached, and
features, which count how often as well), kept inputs, and resident memory at the end. A crash, a parser that needs more
than a minute, or memory beyond the limit ends that parser's run with the input in `--artifacts`; exit status 1.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "fuzz")]
PACKAGES = ["locant", "locant_slo", "locant_exporters", "locant_alerts", "fuzz_targets", "yaml"]
_LAST = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/.*?rss: (\d+)Mb")


@dataclass(frozen=True)
class Outcome:
    """One parser's run."""

    parser: str
    inputs: int
    seconds: float
    edges: int
    features: int
    kept: int
    memory_mib: int
    failed: bool
    log: str = ""


def fuzz_here(name: str, flags: list[str], corpus: Path) -> None:
    """The fuzzing process itself; never returns."""
    import atheris

    with atheris.instrument_imports(include=PACKAGES):
        from fuzz_targets import targets, together
    [target] = [one for one in (*targets(), together()) if one.name == name]
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *flags, str(corpus)], target.read, enable_python_coverage=True)
    atheris.Fuzz()


def fuzz(name: str, inputs: int, rss_limit_mb: int, artifacts: Path) -> Outcome:
    """One parser in a process of its own."""
    artifacts.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        flags = [f"-runs={inputs}", "-max_len=4096", "-timeout=60", f"-rss_limit_mb={rss_limit_mb}", "-seed=1"]
        flags += [f"-artifact_prefix={artifacts}/{name}-", "-print_final_stats=0"]
        command = [sys.executable, __file__, "--fuzz", name, "--corpus", corpus, "--", *flags]
        began = time.monotonic()
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        seconds = time.monotonic() - began
    seen = [tuple(map(int, match.groups())) for match in _LAST.finditer(run.stdout)]
    done, edges, features, kept, memory = seen[-1] if seen else (0, 0, 0, 0, 0)
    log = run.stdout[-3000:] if run.returncode else ""
    return Outcome(name, done, seconds, edges, features, kept, memory, run.returncode != 0, log)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--only", default="", help="parsers, with commas between; `together` is all in one process")
    parser.add_argument("--rss-limit-mb", type=int, default=1024)
    parser.add_argument("--artifacts", type=Path, default=Path("fuzz-artifacts"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--fuzz", help=argparse.SUPPRESS)
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    chosen, flags = parser.parse_known_args()
    if chosen.fuzz:
        fuzz_here(chosen.fuzz, [flag for flag in flags if flag != "--"], chosen.corpus)
    from fuzz_targets import targets

    names = chosen.only.split(",") if chosen.only else [target.name for target in targets()]
    outcomes = []
    heads = (("inputs", 9), ("seconds", 8), ("a second", 9), ("edges", 6), ("features", 8), ("kept", 5), ("MiB", 5))
    print(f"{'parser':12}", *(f"{head:>{width}}" for head, width in heads))
    for name in names:
        one = fuzz(name, chosen.inputs, chosen.rss_limit_mb, chosen.artifacts)
        outcomes.append(one)
        rate = one.inputs / one.seconds
        print(
            f"{name:12} {one.inputs:9} {one.seconds:8.0f} {rate:9.0f} {one.edges:6} {one.features:8} {one.kept:5} "
            f"{one.memory_mib:5}{'  FAILED' if one.failed else ''}\n{one.log}".rstrip(),
            flush=True,
        )
    print(f"in all {sum(one.inputs for one in outcomes)} inputs, {sum(one.failed for one in outcomes)} parsers failed")
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=1))
    return int(any(one.failed for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
