"""What several commands take or say: the spec and one of its objectives, times, headers, a file or a pipe, warnings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from locant_slo.durations import parse_duration
from locant_slo.errors import ConfigError, MachineError
from locant_slo.moments import parse_moment

if TYPE_CHECKING:
    from locant_slo.load import Diagnostic
    from locant_slo.spec import Objective, Spec

SPEC_FILE = click.option(
    "-f", "--file", "path", default="slo.yaml", show_default=True, help="The SLO spec, or a folder of them."
)


class _Parsed(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """A value that one of our own parsers reads; its sentence is the complaint."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> object:
        try:
            return self._parse(value) if isinstance(value, str) else value
        except ValueError as error:
            return self.fail(str(error), param, ctx)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip().isascii() or not name.strip().isprintable() or not value.isprintable():
        raise ValueError(f"{text!r} is no header; write it as in 'X-Scope-OrgID: ml'")
    return name.strip(), value.strip()


DURATION = _Parsed("duration", parse_duration)
MOMENT = _Parsed("moment", parse_moment)
HEADER = _Parsed("header", _header)


def chosen_spec(path: str, slo: str | None) -> Spec:
    """The only spec of the file, or that of an objective, with this one alone. Raises ConfigError for several."""
    from locant_slo.load import load_specs

    if slo is not None:
        spec, objective = chosen_objective(path, slo)
        return spec.model_copy(update={"objectives": (objective,)})
    specs = load_specs(Path(path))
    if len(specs) > 1:
        services = ", ".join(spec.service for spec in specs)
        raise ConfigError(f"{path}: holds the services {services}; name the file of one of them")
    return specs[0]


def chosen_objective(path: str, name: str) -> tuple[Spec, Objective]:
    """The objective of that name with its spec. Raises ConfigError that names the others."""
    from locant_slo.load import load_specs

    known = {objective.name: (spec, objective) for spec in load_specs(Path(path)) for objective in spec.objectives}
    if name not in known:
        raise ConfigError(f"{path}: has no objective {name!r}; choose one of {', '.join(sorted(known))}")
    return known[name]


def read_text(path: str) -> str:
    """The text of a file, or of standard input for `-`. Raises MachineError or ConfigError when it cannot be read."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror}); name a readable file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text") from error


def report_warnings(diagnostics: Sequence[Diagnostic]) -> None:
    """Say each warning on standard error, a line each."""
    for diagnostic in diagnostics:
        click.echo(f"{diagnostic.severity}: {diagnostic.path}: {diagnostic.sentence}", err=True)
