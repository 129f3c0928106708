"""The union of all kinds, chosen by the word in `kind`; text alone is the id of a built-in one."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Tag

from locant_slo.indicators.by_id import BuiltIn
from locant_slo.indicators.counting import Counting
from locant_slo.indicators.events import Events
from locant_slo.indicators.gauge import Gauge
from locant_slo.indicators.latency import Latency
from locant_slo.indicators.native_latency import NativeLatency
from locant_slo.indicators.ratio import Ratio
from locant_slo.indicators.verdict import Verdict

KINDS: dict[str, type[Counting]] = {
    kind.model_fields["kind"].annotation.__args__[0]: kind  # type: ignore[union-attr]  # a Literal of one word
    for kind in (Events, Ratio, Latency, NativeLatency, Gauge, Verdict)
}


def _by_id(value: object) -> object:
    return {"kind": "built_in", "name": value} if isinstance(value, str) else value


def _tag(value: object) -> str | None:
    """The class's name in brackets, which the wording of errors takes out of paths again."""
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    if kind == "built_in":
        return "[BuiltIn]"
    return f"[{KINDS[kind].__name__}]" if kind in KINDS else None


AnyIndicator = Annotated[
    Annotated[BuiltIn, Tag("[BuiltIn]")]
    | Annotated[Events, Tag("[Events]")]
    | Annotated[Ratio, Tag("[Ratio]")]
    | Annotated[Latency, Tag("[Latency]")]
    | Annotated[NativeLatency, Tag("[NativeLatency]")]
    | Annotated[Gauge, Tag("[Gauge]")]
    | Annotated[Verdict, Tag("[Verdict]")],
    Discriminator(
        _tag,
        custom_error_type="indicator_kind",
        custom_error_message="no indicator",
        custom_error_context={"kinds": ", ".join(KINDS)},
    ),
    BeforeValidator(_by_id),
]
