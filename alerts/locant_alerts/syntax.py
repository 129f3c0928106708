"""The user's own PromQL, read by promtool: the only one that knows all of its grammar."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from locant_alerts.text import dump
from locant_slo.expression import placed
from locant_slo.spec import Spec
from locant_slo.times import While

_FAULT = re.compile(r"rule (\d+), \"[^\"]*\": (?:could not parse expression: )?(?:\d+:(\d+): )?(.*)")
_TIMEOUT_SECONDS = 60


def own_texts(specs: Sequence[Spec]) -> tuple[tuple[str, str], ...]:
    """Path and text of every expression that a user wrote."""
    return tuple(text for spec in specs for text in _texts(spec))


def _texts(spec: Spec) -> Iterator[tuple[str, str]]:
    for index, objective in enumerate(spec.objectives):
        for field, text in objective.indicator.texts().items():
            yield f"{spec.place(index)}.indicator.{field}", placed(text, "5m")
    for index, stretch in enumerate(spec.maintenance):
        if isinstance(stretch, While):
            yield f"maintenance[{index}].condition", stretch.condition
    if spec.deploys is not None:
        yield "deploys.series", spec.deploys.series


def syntax_problems(promtool: str, specs: Sequence[Spec]) -> tuple[str, ...]:
    """What promtool says against the expressions, each as a sentence with its path."""
    texts = own_texts(specs)
    if not texts:
        return ()
    rules = [{"record": "checked", "expr": text, "labels": {"which": str(at)}} for at, (_, text) in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.yaml"
        file.write_text(dump({"groups": [{"name": "texts", "rules": rules}]}), encoding="utf-8")
        run = subprocess.run(  # noqa: S603  # a fixed program on our own file
            [promtool, "check", "rules", str(file)], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS
        )
    if run.returncode == 0:
        return ()
    found = [_FAULT.search(line) for line in (run.stdout + run.stderr).splitlines()]
    sentences = [f"{texts[int(fault[1]) - 1][0]}: {_said(fault)}" for fault in found if fault]
    return tuple(sentences) or (f"promtool refuses the expressions: {(run.stderr or run.stdout).strip()[:300]}",)


def _said(fault: re.Match[str]) -> str:
    where = f"character {fault[2]}: " if fault[2] else ""
    return f"{where}Prometheus cannot read it: {fault[3].removeprefix('parse error: ')}"
