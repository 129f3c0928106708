"""The short way for calls of one token per row, which are nearly all calls of a decoder: done on the host.

Such a call has no neighbours, runs or holes. Its few numbers travel as they are, and the host spells out what they
mean. The result equals `reduce_rows` (a property test says so) at a fraction of its cost.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from locant.observation import ABSENT, RowFacts, RowField
from locant.probe.masks import split_mask
from locant.probe.row_inputs import RowInputs, RowRules
from locant.probe.rows import MIX

_WORD = 1 << 64
_NO_MASK = -1


def decode_rows(inputs: RowInputs, rules: RowRules, *, declared: bool) -> list[RowFacts]:
    """Each row's facts of a call with one token per row whose tensors are on the host. `declared`: segments were."""
    batch, cached = inputs.batch, int(inputs.cached)
    split = split_mask(inputs)
    kept = split[0][:, 0].tolist() if split is not None else [_NO_MASK] * batch
    before = split[1].tolist() if split is not None else [cached] * batch
    ids = inputs.ids[:, 0].tolist() if inputs.ids is not None else None
    axes = _axes(inputs.positions, batch)
    pads_known = ids is not None and rules.pad_id is not None
    return [
        _row(
            rules, kept[row], before[row], cached, ids[row] if ids is not None else None, axes[row] if axes else (),
            opaque=inputs.opaque_mask, declared=declared, pads_known=pads_known,
        )
        for row in range(batch)
    ]  # fmt: skip


def _axes(positions: Tensor | None, batch: int) -> Sequence[Sequence[int]] | None:
    """Each row's position on every axis."""
    if positions is None:
        return None
    listed = positions[..., 0].tolist()
    axes = [listed] if positions.dim() == 2 else listed
    rows = list(zip(*axes, strict=True))
    return rows * batch if len(rows) == 1 else rows


def _row(
    rules: RowRules,
    kept: int,
    before: int,
    cached: int,
    token: int | None,
    axes: Sequence[int],
    *,
    opaque: bool,
    declared: bool,
    pads_known: bool,
) -> RowFacts:
    """One row, its columns in the order of `RowField`."""
    masked = kept != _NO_MASK
    real = bool(kept) if masked else not (pads_known and token == rules.pad_id and not _slack(rules))
    sides = 0 if masked or (pads_known and not opaque) else ABSENT
    placed = bool(axes) and real
    position, offset, steps = (axes[0], axes[0] - before, 0) if placed else (ABSENT, ABSENT, ABSENT)
    lowest, highest = (min(axes), max(axes)) if placed else (ABSENT, ABSENT)
    unmasked = 0 if pads_known and not opaque else ABSENT
    hashed = ABSENT if token is None else token_hash(token, rules.salt) if real else 0
    return RowFacts(
        int(real), sides if real or sides else 1, sides, sides, unmasked, unmasked, before, cached,
        position, position, lowest, highest, offset, offset, steps, steps, steps,
        int(real) if rules.token_types else ABSENT,
        0 if token is not None and rules.separator_id is not None else ABSENT,
        0 if declared and axes else ABSENT,
        hashed,
        *_UNSEEN,
    )  # fmt: skip


_UNSEEN = (ABSENT,) * (len(RowField) - RowField.WINDOW_EXCESS)


def _slack(rules: RowRules) -> bool:
    return rules.pad_starts or rules.pad_ends


def token_hash(token: int, salt: int) -> int:
    """`RowField.FIRST_TOKEN_HASH` of a single token: the device's 64-bit wrapping arithmetic, on the host."""
    mixed = _signed((token + salt) * MIX[0])
    return (_signed((mixed ^ (mixed >> 29)) * MIX[1]) >> 20) & 0x7FFFFFFF


def _signed(value: int) -> int:
    value %= _WORD
    return value - _WORD if value >= _WORD >> 1 else value
