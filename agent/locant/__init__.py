"""Locant: does this transformer still know where its tokens sit?

    watch = locant.watch(model)     # one line beside the model
    watch.findings()                # what is wrong, how sure, and the evidence

Importing this package loads neither torch nor any exporter; `watch` does when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locant_slo.errors import LocantError
from locant_slo.findings import FailureMode, Finding, Severity

if TYPE_CHECKING:
    from locant.embedded import Watch, watch

__all__ = ["FailureMode", "Finding", "LocantError", "Severity", "Watch", "__version__", "watch"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in {"watch", "Watch"}:
        from locant import embedded

        return getattr(embedded, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
