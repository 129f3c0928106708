"""The static audit of position tables: numbers that are none, rows that nothing was ever written to, lost sinusoids."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from locant.observation import Deviation, ModelProfile
from locant.probe import families as fam
from locant.probe.structure import Part, table_of
from locant.probe.tables import is_sinusoidal, sinusoid_error, two_dimensional


def audit_table(part: Part, profile: ModelProfile) -> Iterator[Deviation]:
    """A module's table, in a family that numbers its tokens by it."""
    table = table_of(part.module)
    if table is None:
        return
    flat = two_dimensional(table.detach())
    broken = _broken(part.name, flat)
    if broken is not None:
        yield broken
        return
    used = torch.ones(len(flat), dtype=torch.bool, device=flat.device)
    used[: profile.base] = False
    padding = getattr(part.module, "padding_idx", None)
    if isinstance(padding, int):
        used[padding] = False
    empty = (flat == 0).all(-1) & used
    if profile.scheme == fam.LEARNED:
        yield from _empty(part.name, empty)
    if profile.scheme == fam.SINUSOIDAL and not is_sinusoidal(part.module):
        error = sinusoid_error(table)
        yield Deviation(part.name, "table", error, "a published sinusoid", f"off by {error:.3g}")


def audit_bare(name: str, table: torch.Tensor) -> Iterator[Deviation]:
    """A table that is no module, or whose rows are patches.

    Many begin as zeros: a table of nothing else is new, zeros in front belong to class tokens, and those at the end are
    rows that training never reached. Zeros between filled rows are none of these.
    """
    if table.device.type == "meta":
        return
    flat = two_dimensional(table.detach())
    broken = _broken(name, flat)
    if broken is not None:
        yield broken
        return
    empty = (flat == 0).all(-1)
    filled = (~empty).nonzero().flatten()
    if len(filled):
        empty[: int(filled[0])] = False
        empty[int(filled[-1]) :] = False
        yield from _empty(name, empty)


def _broken(name: str, flat: torch.Tensor) -> Deviation | None:
    count = int((~torch.isfinite(flat)).any(-1).sum())
    found = f"{count} rows with NaN or infinity"
    return Deviation(name, "table", float("inf"), "finite rows", found) if count else None


def _empty(name: str, empty: torch.Tensor) -> Iterator[Deviation]:
    count = int(empty.sum())
    if count:
        yield Deviation(name, "zero_rows", count / len(empty), "learned rows without zeros", f"{count} rows of zeros")
