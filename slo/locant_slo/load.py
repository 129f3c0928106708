"""Reading specs from disk: safe YAML of bounded size, and every problem at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import yaml
from pydantic import ValidationError

from locant_slo.diagnose import Diagnostic, diagnose
from locant_slo.documents import documents
from locant_slo.errors import MachineError, SpecError
from locant_slo.sentences import problems_of
from locant_slo.spec import Spec
from locant_slo.templates import written_out

__all__ = ["Diagnostic", "diagnose", "load_specs", "parse_spec", "parse_specs"]

LARGEST_FILE_BYTES = 1_048_576
MOST_PROBLEMS = 50


def load_specs(path: Path) -> tuple[Spec, ...]:
    """All specs of a file, or of the `.yaml` and `.yml` files of a folder in order of their names.

    Raises MachineError when nothing can be read, SpecError with every problem of every file.
    """
    files = _files(path)
    specs: list[Spec] = []
    problems: list[str] = []
    for file in files:
        prefix = "" if file == path else f"{file.name}: "
        try:
            specs += parse_specs(_read(file), str(file))
        except SpecError as error:
            problems += [f"{prefix}{problem}" for problem in error.problems]
    problems += _together(specs) if not problems else []
    if problems:
        raise SpecError(str(path), tuple(problems))
    return tuple(specs)


def parse_spec(text: str, source: str) -> Spec:
    """The only spec in `text`."""
    specs = parse_specs(text, source)
    if len(specs) != 1:
        raise SpecError(source, (f"{len(specs)} documents stand where one belongs; remove the extra '---'",))
    return specs[0]


def parse_specs(text: str, source: str) -> tuple[Spec, ...]:
    """The specs in `text`, one for each YAML document. Raises SpecError with every problem found."""
    try:
        parsed = documents(text)
    except yaml.YAMLError as error:
        raise SpecError(source, (no_yaml(error),)) from error
    if not parsed:
        raise SpecError(source, ("the file is empty; start from examples/slo.yaml",))
    specs: list[Spec] = []
    problems: list[str] = []
    for index, (content, duplicates) in enumerate(parsed):
        prefix = f"document {index + 1}: " if len(parsed) > 1 else ""
        spec, found = _read_document(content)
        specs += [spec] if spec else []
        found = [*duplicates, *found]
        problems += [f"{prefix}{problem}" for problem in found]
    problems += _together(specs) if not problems else []
    if problems:
        raise SpecError(source, _some(problems))
    return tuple(specs)


def _read_document(content: object) -> tuple[Spec | None, list[str]]:
    written = written_out(content)
    found = list(written.problems)
    try:
        spec = Spec.model_validate(written.content)
    except ValidationError as error:
        return None, [*found, *(_placed(problem, written.places) for problem in problems_of(error, Spec))]
    spec.stands_at(written.places)
    return spec, [*found, *_errors(spec)]


_EXPANDED = re.compile(r"objectives\[(\d+)\]")


def _placed(problem: str, places: Sequence[str]) -> str:
    """The path as the file has it, where templates and defaults were written out."""
    match = _EXPANDED.match(problem)
    return f"{places[int(match[1])]}{problem[match.end() :]}" if match and places else problem


def _some(problems: list[str]) -> tuple[str, ...]:
    """A file that is no spec at all has thousands of problems; the first ones say so."""
    more = len(problems) - MOST_PROBLEMS
    return (*problems[:MOST_PROBLEMS], f"and {more} more of the kind") if more > 0 else tuple(problems)


def _errors(spec: Spec) -> Iterator[str]:
    for item in diagnose(spec, ""):
        if item.severity == "error":
            yield f"{item.path.removeprefix(': ')}: {item.sentence}"


def _together(specs: Sequence[Spec]) -> list[str]:
    """What stands against specs side by side: one name twice, or two that would count each other's models."""
    problems = []
    for one, other in combinations(specs, 2):
        if one.service == other.service:
            problems.append(f"service: {one.service!r} stands in two documents; put its objectives into one")
        elif (
            one.probe
            and other.probe
            and not any(other.selector.get(name, value) != value for name, value in one.selector.items())
        ):
            problems.append(
                f"selector: {one.service!r} and {other.service!r} would count each other's models; give each its own "
                f"selector, as in selector: {{job: {one.service}}}"
            )
    return problems


def no_yaml(error: yaml.YAMLError) -> str:
    """Where a text stops being YAML, and why."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"this is no YAML: {str(error).splitlines()[0]}"
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: this is no YAML: {error.problem or error.context}"


def _files(path: Path) -> tuple[Path, ...]:
    if not path.is_dir():
        return (path,)
    found = tuple(sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml"} and file.is_file()))
    if not found:
        raise MachineError(f"{path}: the folder holds no .yaml file; write one, or start from examples/slo.yaml")
    return found


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE_BYTES + 1)
        if len(data) > LARGEST_FILE_BYTES:
            raise SpecError(str(path), (f"larger than {LARGEST_FILE_BYTES} bytes; split it into several files",))
        return data.decode("utf-8")
    except FileNotFoundError as error:
        raise MachineError(f"{path}: no such file; name it with -f, or start from examples/slo.yaml") from error
    except OSError as error:
        raise MachineError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except UnicodeDecodeError as error:
        raise SpecError(str(path), (f"byte {error.start} is not UTF-8; save the file as UTF-8 text",)) from error
