"""An objective's traffic from the data folder of a Prometheus that does not run, read by promtool."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from locant_alerts.history.counters import LOOK_BACK_SECONDS, Grid, Sample, Series, histories
from locant_alerts.history.excluded import without_excluded
from locant_alerts.history.sources import counters
from locant_alerts.history.stretch import History
from locant_slo.errors import ConfigError, MachineError
from locant_slo.spec import Objective, Spec

_NUMBER = r"NaN|[+-]?Inf|[+-]?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,3})?"
_LINE = re.compile(rf"\{{(?P<labels>.*)\}} (?P<value>{_NUMBER}) (?P<milliseconds>-?[0-9]{{1,18}})$")
_LABEL = re.compile(r'([^=,\s"]+|"(?:[^"\\]|\\.)*")="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


def read_tsdb(
    folder: Path, spec: Spec, objective: Objective, step_seconds: int, grid: Grid | None = None
) -> tuple[History, ...]:
    """One history for each model and release in the folder: over the grid, or over all that the folder holds.

    Raises MachineError when there is no promtool or no such folder, ConfigError when it has nothing of the indicator.
    """
    pair = counters(spec, objective)
    if pair is None:
        raise ConfigError(
            f"{folder}: {objective.name} is more than two counters, so samples alone do not count it; start a "
            "Prometheus on the folder and name it with --prometheus"
        )
    events, bad = _dump(folder, pair.events, grid), _dump(folder, pair.bad, grid)
    if not events:
        raise ConfigError(f"{folder}: has no sample of {pair.events} in this time; check the spec's selector")
    grid = grid or _spanned(events, step_seconds)
    return without_excluded(histories(events, bad, objective.group, grid), spec, grid)


def _spanned(series: list[Series], step_seconds: int) -> Grid:
    first = min(one.samples[0][0] for one in series)
    last = max(one.samples[-1][0] for one in series)
    return Grid(first, step_seconds, max(1, math.ceil((last - first) / step_seconds)))


def _dump(folder: Path, selector: str, grid: Grid | None) -> list[Series]:
    program = shutil.which("promtool")
    if program is None:
        raise MachineError("promtool is not installed; it comes with Prometheus and reads its data folder")
    if not folder.is_dir():
        raise MachineError(f"{folder}: no such folder; name the one behind --storage.tsdb.path")
    if not (folder / "wal").is_dir():
        with tempfile.TemporaryDirectory() as copy:
            return _dump(_with_wal(folder, Path(copy)), selector, grid)
    command = [program, "tsdb", "dump", f"--match={selector}"]
    if grid is not None:
        before = grid.start_seconds - LOOK_BACK_SECONDS
        command += [f"--min-time={math.floor(before * 1_000)}", f"--max-time={math.ceil(grid.end_seconds * 1_000)}"]
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(  # noqa: S603 - a list of arguments, and a program that was looked up
            [*command, str(folder)], stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
        ) as process:
            series = read_dump(process.stdout or ())
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
    if process.returncode:
        raise MachineError(f"{folder}: promtool cannot read it ({said.splitlines()[-1] if said else 'no reason'})")
    return series


def _with_wal(folder: Path, copy: Path) -> Path:
    """The blocks of a snapshot, linked beside the empty write-ahead log without which promtool reads nothing."""
    (copy / "wal").mkdir()
    for meta in folder.glob("*/meta.json"):
        block = copy / meta.parent.name
        block.mkdir()
        for part in meta.parent.iterdir():
            (block / part.name).symlink_to(part.resolve())
    return copy


def read_dump(lines: Iterable[str]) -> list[Series]:
    """The series of `promtool tsdb dump`: a line each sample, as `{__name__="x", a="b"} 3 1700000000000`."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for line in lines:
        if match := _LINE.match(line):
            found[match["labels"]].append((int(match["milliseconds"]) / 1_000, float(match["value"])))
    return [Series(dict(_labels(text)), sorted(samples)) for text, samples in found.items()]


def _labels(text: str) -> Iterator[tuple[str, str]]:
    for name, value in _LABEL.findall(text):
        yield name.strip('"'), _ESCAPE.sub(lambda match: {"n": "\n"}.get(match[1], match[1]), value)
