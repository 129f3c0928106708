"""What a spec says once for several objectives: `defaults` for all, and `for_each` for those that are alike.

Both are gone before the spec is validated: they are ways of writing, and mean nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from locant_slo.sentences import show
from locant_slo.spec import Objective

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_EXCLUDE = {"calendar": "window", "window": "calendar"}
_MOST_OBJECTIVES = 5_000


@dataclass(frozen=True, slots=True)
class Written:
    """A document without its ways of writing: content, where each objective stands, and what is wrong with them."""

    content: object
    places: tuple[str, ...]
    problems: tuple[str, ...]


def written_out(content: object) -> Written:
    """The document with every objective written out."""
    if not isinstance(content, dict) or not isinstance(content.get("objectives"), list):
        return Written(content, (), ())
    defaults, problems = content.get("defaults", {}), []
    if not isinstance(defaults, dict):
        problems.append(f"defaults: {show(defaults)} stands where a mapping belongs; write field: value lines")
        defaults = {}
    problems += [
        f"defaults.{name}: an objective has no such default; known are {', '.join(_defaulted())}"
        for name in defaults
        if name not in _defaulted()
    ]
    objectives, places = [], []
    for index, template in enumerate(content["objectives"]):
        try:
            for place, objective in _made(template, f"objectives[{index}]"):
                objectives.append(_merged(defaults, objective) if isinstance(objective, dict) else objective)
                places.append(place)
        except ValueError as error:
            problems.append(f"objectives[{index}].for_each{error}")
    if len(objectives) > _MOST_OBJECTIVES:
        problems.append(f"objectives: for_each makes {len(objectives)} of them; {_MOST_OBJECTIVES} is the limit")
        objectives, places = objectives[:1], places[:1]
    rest = {name: value for name, value in content.items() if name != "defaults"}
    return Written(rest | {"objectives": objectives}, tuple(places), tuple(problems))


def _defaulted() -> tuple[str, ...]:
    return tuple(name for name in Objective.model_fields if name not in {"name", "indicator"})


def _merged(defaults: Mapping[str, Any], objective: Mapping[str, Any]) -> dict[str, Any]:
    """What the objective says, over the defaults; mappings are merged field by field, lists are not."""
    kept = {name: value for name, value in defaults.items() if _EXCLUDE.get(name) not in objective}
    merged = dict(kept)
    for name, value in objective.items():
        base = kept.get(name)
        merged[name] = _merged(base, value) if isinstance(base, dict) and isinstance(value, dict) else value
    return merged


def _made(template: object, place: str) -> Iterator[tuple[str, object]]:
    """The objectives that a template stands for, each with its place and its values."""
    if not isinstance(template, dict) or "for_each" not in template:
        yield place, template
        return
    plain = {name: value for name, value in template.items() if name != "for_each"}
    choices = _choices(template["for_each"])
    unknown = sorted(set(_VARIABLE.findall(repr(plain))) - set(choices))
    if unknown:
        raise ValueError(f": ${{{unknown[0]}}} has no values; add {unknown[0]}: [...]")
    for row in product(*(values.items() for values in choices.values())):
        values = {name: value for name, (value, _) in zip(choices, row, strict=True)}
        made = _filled(plain, values)
        if isinstance(made.get("name"), str):
            made["name"] = _as_name(made["name"])
        for _, over in row:
            made = _merged(made, over)
        yield f"{place} ({', '.join(f'{name}={value}' for name, value in values.items())})", made


def _choices(for_each: object) -> dict[str, dict[str, dict[str, Any]]]:
    """Variable to value to what this value changes about the objective."""
    if not isinstance(for_each, dict) or not for_each:
        raise ValueError(f": {show(for_each)} stands where variables belong; write it as in model: [gpt2, llama]")
    found = {}
    for name, values in for_each.items():
        changes = values if isinstance(values, dict) else dict.fromkeys(values) if _is_texts(values) else None
        if not changes or not all(isinstance(value, str) for value in changes):
            raise ValueError(f".{name}: {show(values)} is no list of texts; write it as in [gpt2, llama]")
        odd = next((value for value, change in changes.items() if not isinstance(change or {}, dict)), None)
        if odd is not None:
            raise ValueError(f".{name}.{odd}: {show(changes[odd])} stands where an objective's fields belong")
        found[str(name)] = {value: change or {} for value, change in changes.items()}
    return found


def _is_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """The same with each `${variable}` replaced, in every text of it."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: values[match.group(1)], value)
    if isinstance(value, dict):
        return {name: _filled(inside, values) for name, inside in value.items()}
    return [_filled(inside, values) for inside in value] if isinstance(value, list) else value


def _as_name(text: str) -> str:
    """A value such as `meta/Llama-3` within an objective's name: lower case, hyphens for what a name cannot hold."""
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")
