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
    from locant.embedded import EmbeddedAgent
    from locant.remote import RemoteAgent
    from locant.watching import Watch, watch

__all__ = [
    "EmbeddedAgent",
    "FailureMode",
    "Finding",
    "LocantError",
    "RemoteAgent",
    "Severity",
    "Watch",
    "__version__",
    "watch",
]
__version__ = "0.1.0"
_LATE = {
    "EmbeddedAgent": "locant.embedded",
    "RemoteAgent": "locant.remote",
    "Watch": "locant.watching",
    "watch": "locant.watching",
}


def __getattr__(name: str) -> Any:
    """The names that pull in more than values, loaded when they are first used."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)
