"""A real TSDB folder from counters told as increments."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Counter:
    """A counter's increments, one a step after the first sample. None: not scraped. `restart`: a step at zero."""

    name: str
    labels: Mapping[str, str]
    increments: Sequence[int | None]
    restart: int | None = None
    born: int = 0

    def samples(self) -> Iterable[tuple[int, int]]:
        """Step and value; the first sample stands at step 0."""
        value = self.born
        yield 0, value
        for step, increment in enumerate(self.increments, 1):
            if step == self.restart:
                value = 0
            if increment is not None:
                value += increment
                yield step, value


def import_counters(program: str, folder: Path, counters: Sequence[Counter], start: int, step: int = 60) -> Path:
    """Write the counters into blocks below `folder / "data"` with promtool, and give that folder."""
    lines = []
    for name in sorted({counter.name for counter in counters}):
        lines.append(f"# TYPE {name.removesuffix('_total')} counter")
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
