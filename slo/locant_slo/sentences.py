"""What pydantic found wrong with a spec, as sentences with a path, the value and a cure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

Location = tuple["int | str", ...]


def problems_of(error: ValidationError, root: type[BaseModel]) -> Iterator[str]:
    """One sentence for each fault that validating `root` met, in the order of the file's schema."""
    faults = [(_without_marks(fault["loc"]), fault) for fault in error.errors()]
    for location, fault in faults:
        if fault["type"] == "too_short" and any(other[: len(location)] == location != other for other, _ in faults):
            continue  # pydantic counts only the entries that hold; each of the others has its own sentence
        sentence = _SENTENCES.get(fault["type"], _fallback)(_Fault(fault["loc"], dict(fault), root))
        yield f"{dotted(location)}: {sentence}" if location else sentence


def dotted(location: Sequence[int | str]) -> str:
    """`("objectives", 2, "target")` as `objectives[2].target`."""
    text = ""
    for step in (step if isinstance(step, int) else _printable(step) for step in location):
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _printable(key: str) -> str:
    """A key as it stands, or quoted where it would move the reader's cursor; short."""
    text = key if key and key.isprintable() else repr(key)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _without_marks(location: Location) -> Location:
    """The path that the user wrote: without marks for keys and kinds, which stand in brackets."""
    if "[BuiltIn]" in location:  # the user wrote no mapping there
        location = location[: location.index("[BuiltIn]")]
    return tuple(step for step in location if not _is_mark(step))


def _is_mark(step: int | str) -> bool:
    return isinstance(step, str) and step.startswith("[") and step.endswith("]")


class _Fault:
    """One pydantic error with what a sentence needs of it."""

    def __init__(self, location: Location, fault: Mapping[str, Any], root: type[BaseModel]) -> None:
        self.location = location
        self.root = root
        self.message = str(fault["msg"])
        self.context: Mapping[str, Any] = fault.get("ctx", {})
        self.value = show(fault.get("input"))

    def owner(self) -> type[BaseModel] | None:
        """The model that the faulty field stands in."""
        model: type[BaseModel] | None = self.root
        annotation: object = self.root
        for step in self.location[:-1]:
            if _is_mark(step):
                model = next((found for found in _models_in(annotation) if f"[{found.__name__}]" == step), model)
            elif isinstance(step, str) and model is not None:
                annotation = model.model_fields[step].annotation if step in model.model_fields else None
                model = next(iter(_models_in(annotation)), None)
        return model


def show(value: object) -> str:
    """A value as the user would recognise it, short."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _unknown_field(fault: _Fault) -> str:
    owner = fault.owner()
    known = list(owner.model_fields) if owner else []
    nearest = get_close_matches(str(fault.location[-1]), known, n=1)
    return f"unknown field; did you mean {nearest[0]}?" if nearest else f"unknown field; known are {', '.join(known)}"


def _pattern(fault: _Fault) -> str:
    if "[.]" in str(fault.context.get("pattern")):
        return f"{fault.value} is no version; write two numbers, as in '2.53'"
    if "0-9-" in str(fault.context.get("pattern")):
        return f"{fault.value} is no name; use lower-case letters, digits and hyphens, as in padding-attention"
    return f"{fault.value} is no label name; use letters, digits and underscores, as in cost_center"


def _choice(fault: _Fault) -> str:
    return f"{fault.value} is not known; write {fault.context['expected']}"


def _fallback(fault: _Fault) -> str:
    return f"{fault.value}: {fault.message[:1].lower()}{fault.message[1:]}"


_SENTENCES: Mapping[str, Callable[[_Fault], str]] = {
    "value_error": lambda fault: str(fault.context["error"]),
    "indicator_kind": lambda fault: (
        f"{fault.value} names no kind of indicator; write the id of a built-in one, or kind: and one of "
        f"{fault.context['kinds']}"
    ),
    "extra_forbidden": _unknown_field,
    "missing": lambda fault: f"missing; add a line {fault.location[-1]}: ...",
    "literal_error": _choice,
    "string_pattern_mismatch": _pattern,
    "string_type": lambda fault: f"{fault.value} is no text; put it in quotes",
    "int_type": lambda fault: f"{fault.value} is no whole number or duration; write 5 or 30s, 5m, 6h, 3d",
    "int_parsing": lambda fault: f"{fault.value} is no whole number",
    "int_from_float": lambda fault: f"{fault.value} is no whole number",
    "greater_than": lambda fault: f"{fault.value} is not above {fault.context['gt']}",
    "greater_than_equal": lambda fault: f"{fault.value} is below {fault.context['ge']}",
    "less_than_equal": lambda fault: f"{fault.value} is above {fault.context['le']}",
    "too_short": lambda fault: f"the list needs at least {fault.context['min_length']} entry",
    "tuple_type": lambda fault: f"{fault.value} stands where a list belongs; start each entry with '- '",
    "dict_type": lambda fault: f"{fault.value} stands where labels belong; write name: value lines",
    "model_type": lambda fault: f"{fault.value} stands where a mapping belongs; write field: value lines",
    "bool_type": lambda fault: f"{fault.value} is neither true nor false",
    "bool_parsing": lambda fault: f"{fault.value} is neither true nor false",
    "timezone_aware": lambda fault: f"{fault.value} says no offset from UTC; write it as in 2026-12-24T22:00:00+01:00",
    "decimal_type": lambda fault: f"{fault.value} is no number; write a share such as 0.99",
    "decimal_parsing": lambda fault: f"{fault.value} is no number; write a share such as 0.99",
    "finite_number": lambda fault: f"{fault.value} is no finite number; write a share such as 0.99",
}
