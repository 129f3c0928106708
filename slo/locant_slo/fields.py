"""The kinds of field that a spec is made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from locant_slo.durations import LONGEST_SECONDS, parse_duration


class Closed(BaseModel):
    """A mapping whose fields are all known, frozen once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def inside_unit_interval(value: Decimal) -> Decimal:
    """`value`, if it is a share that can be promised."""
    if not 0 < value < 1:
        raise ValueError(f"{value} is not between 0 and 1; write 99 % as 0.99")
    return value


def exact(value: object) -> object:
    """YAML floats arrive as binary; their shortest text is what the author wrote."""
    return str(value) if isinstance(value, float) else value


Seconds = Annotated[
    int, BeforeValidator(lambda v: parse_duration(v) if isinstance(v, str) else v), Field(gt=0, le=LONGEST_SECONDS)
]
Ratio = Annotated[Decimal, BeforeValidator(exact), AfterValidator(inside_unit_interval)]
Number = Annotated[Decimal, BeforeValidator(exact)]
Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A DNS label, as Kubernetes has it: objects and labels there are called so too."""
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Labels = Annotated[dict[LabelName, str], Field(default_factory=dict)]
"""Labels by name; none where nothing is said."""
