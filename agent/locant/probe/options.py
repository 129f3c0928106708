"""What can be set about a probe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """How closely to look. The first passes and every new kind of pass are wanted whatever the rates; 0 is never.

    Rates are shares of passes; attention of decode passes is looked at a quarter as often, and keys are compared also
    before the first passes that find their cache shortened or lengthened. `overhead_budget` is the share of forward
    time that the probe may take: it looks less often and less closely than the rates say as soon as it would take more
    (None: the rates hold, whatever they cost). `attention_layers` restricts the profile (None: the first, the last and
    some in turn), `attention_heads` the heads that are reported (None: all; computing all of a sampled row costs little
    more than one). `attention_compiled` has a compiled model compiled a second time, at the moments when it is compiled
    anyway, so that its attention is seen too. `inside=False` hooks the model's own forward and nothing in it, for
    engines that compile or capture what is inside. `strict` raises the probe's own errors; `request_ids_in_clear` lets
    declared request ids leave the process as they are; `trace_ids` gives (trace id, span id) of the running span.
    """

    attention_rate: float = 0.05
    attention_rows: int = 32
    attention_layers: tuple[int, ...] | None = None
    attention_heads: tuple[int, ...] | None = None
    rotary_rate: float = 0.05
    key_rate: float = 0.05
    overhead_budget: float | None = 0.01
    attention_compiled: bool = False
    inside: bool = True
    strict: bool = False
    request_ids_in_clear: bool = False
    trace_ids: Callable[[], tuple[str, str]] | None = None

    @property
    def looks_at_attention(self) -> bool:
        """Whether any pass's attention may be looked at."""
        return self.inside and self.attention_rate > 0 and self.overhead_budget != 0
