"""A real TSDB folder from counters told as increments."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Counter:
    """A counter born at step `since` and its increments in the steps after. None: not scraped. `restart`: at zero."""

    name: str
    labels: Mapping[str, str]
    increments: Sequence[int | None]
    restart: int | None = None
    born: int = 0
    since: int = 0

    def samples(self) -> Iterable[tuple[int, int]]:
        """Step and value."""
        value = self.born
        yield self.since, value
        for step, increment in enumerate(self.increments, self.since + 1):
            if step == self.restart:
                value = 0
            if increment is not None:
                value += increment
                yield step, value


def import_counters(program: str, folder: Path, counters: Sequence[Counter], start: int, step: int = 60) -> Path:
    """Write the counters into blocks below `folder / "data"` with promtool, and give that folder."""
    lines = []
    for name in sorted({counter.name for counter in counters}):
        kind = "counter" if name.endswith("_total") else "gauge"
        lines.append(f"# TYPE {name.removesuffix('_total')} {kind}")
        for counter in counters:
            if counter.name == name:
                inside = ",".join(f'{key}="{value}"' for key, value in counter.labels.items())
                lines += [f"{name}{{{inside}}} {value} {start + step * at}" for at, value in counter.samples()]
    text = folder / "counters.txt"
    text.write_text("\n".join([*lines, "# EOF"]) + "\n")
    data = folder / "data"
    command = [program, "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return data
