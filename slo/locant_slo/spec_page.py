"""The reference page of the spec, in Markdown, read from the models that validate it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from locant_slo.durations import format_duration
from locant_slo.fields import LabelName, Number, Ratio, Seconds
from locant_slo.indicators.by_id import BuiltIn
from locant_slo.indicators.counting import Counter, Instant, Ranged, Selects
from locant_slo.indicators.kinds import KINDS
from locant_slo.spec import Health, Objective, Routing, Spec, Version
from locant_slo.tiers import Alerting, NoData, Tier
from locant_slo.times import Calendar, Clock, Deploys, Once, TimeZone, Weekly, While

_HEADER = """# The SLO spec

Generated from `locant_slo.spec` by `make reference`; do not edit. What it means: [slo.md](../slo.md).
"""
_SECTIONS: tuple[tuple[str, tuple[type[BaseModel], ...]], ...] = (
    ("The file", (Spec,)),
    ("An objective", (Objective, Calendar, Alerting, Tier, NoData)),
    ("An indicator", tuple(KINDS.values())),
    ("Stretches of time", (Weekly, Once, While, Deploys)),
    ("Health and routing", (Health, Routing)),
)
_WORDS = {
    "duration": Seconds,
    "share": Ratio,
    "number": Number,
    "label": LabelName,
    "version": Version,
    "selector, or expression over `[$window]`": Counter,
    "selector": Selects,
    "expression": Instant,
    "expression over `[$window]`": Ranged,
    "time zone": TimeZone,
    "time of day": Clock,
}


def render_spec_page() -> str:
    """The whole page: a table for each mapping that the file may hold."""
    return "\n".join([_HEADER, *(line for section in _SECTIONS for line in _section(*section))])


def _section(title: str, models: Iterable[type[BaseModel]]) -> Iterable[str]:
    yield f"## {title}\n"
    for model in models:
        kind = model.model_fields.get("kind")
        yield f"### {model.__name__}\n"
        word = f"`kind: {get_args(kind.annotation)[0]}`. " if kind else ""
        yield f"{word}{' '.join((model.__doc__ or '').split())}\n"
        yield "| field | what stands there | by default | meaning |"
        yield "|---|---|---|---|"
        for name, field in model.model_fields.items():
            if name != "kind":
                meaning = " ".join((field.description or "").split())
                yield f"| `{name}` | {_type(field)} | {_default(field)} | {meaning} |"
        yield ""


def _type(field: FieldInfo) -> str:
    if get_origin(field.annotation) is dict:
        return "`label: value` lines"
    for word, alias in _WORDS.items():
        first = alias.__metadata__[0]  # type: ignore[attr-defined]  # each of them is Annotated
        if any(item is first for item in field.metadata) or _stands_in(alias, field.annotation):
            listed = "tuple" in str(field.annotation)
            return f"list of {word}s" if listed else word
    return _plain(field.annotation)


def _stands_in(alias: object, annotation: object) -> bool:
    return any(part == alias or _stands_in(alias, part) for part in get_args(annotation))


def _plain(annotation: object) -> str:
    if annotation is BuiltIn:
        return "the id of a [built-in one](metrics.md)"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    words = {str: "text", int: "whole number", bool: "true or false", Decimal: "number", type(None): ""}
    if annotation in words:
        return words[annotation]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    inside = dict.fromkeys(_plain(part) for part in get_args(annotation) if part is not Ellipsis)
    return f"{'list of ' if get_origin(annotation) is tuple else ''}{' or '.join(word for word in inside if word)}"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "must be given"
    if isinstance(value, BaseModel):
        return "see there"
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return "those of the SRE workbook"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if Seconds.__metadata__[0] in field.metadata:  # type: ignore[attr-defined]  # Annotated
        return f"`{format_duration(value)}`" if value else ""
    return ", ".join(f"`{item}`" for item in (value if isinstance(value, tuple) else (value,) if value else ()))
