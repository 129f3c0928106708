"""Optional packages: there, or one sentence that says how to get them."""

from __future__ import annotations

from importlib.util import find_spec

from locant_slo.errors import MachineError


def require(extra: str, *packages: str) -> None:
    """Raise MachineError when one of `packages` is not installed; `extra` is the one that brings them."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        verb = "are" if len(missing) > 1 else "is"
        raise MachineError(f"{' and '.join(missing)} {verb} not installed; run pip install 'locant[{extra}]'")
