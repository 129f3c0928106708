"""For grafanalib's own command: the spec that a `*.dashboard.py` file draws."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from locant_slo.errors import SpecError
from locant_slo.load import load_specs
from locant_slo.spec import Spec

VARIABLE = "LOCANT_SPEC"


def spec_from(environment: Mapping[str, str]) -> Spec:
    """The only spec of the file that LOCANT_SPEC names, by default `slo.yaml`.

    Raises SpecError for a spec that is wrong or not the only one, MachineError for a file that cannot be read.
    """
    path = Path(environment.get(VARIABLE, "slo.yaml"))
    specs = load_specs(path)
    if len(specs) != 1:
        raise SpecError(str(path), (f"it holds {len(specs)} services; point {VARIABLE} at a file with one",))
    return specs[0]
