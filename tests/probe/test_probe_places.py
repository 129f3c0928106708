"""Positions of a pass for whoever looks closer: within bounds, so that what is said of any batch fits a frame."""

from __future__ import annotations

import pytest
import torch

from locant.observation import ABSENT, ForwardFacts, RowFacts
from locant.probe.places import places
from locant.probe.row_inputs import RowInputs, RowRules
from locant.wire.codec import encode
from locant.wire.frame import HEADER_BYTES, MAX_FRAME_BYTES

ROW = RowFacts(*[-(2**31)] * len(RowFacts._fields))


def found(batch: int, queries: int, *, whole: bool) -> list[list[int]]:
    """The columns, and under each the positions of the rows: a hundred thousand and more."""
    ids = torch.full((batch, queries), 7)
    mask = torch.ones_like(ids)
    mask[0, : queries // 2] = 0
    positions = torch.arange(queries).expand(batch, -1) + 100_000
    stands = places(
        RowInputs(batch, queries, ids.device, ids=ids, mask=mask, positions=positions), RowRules(), whole=whole
    )
    assert stands is not None
    return stands.tolist()


@pytest.mark.parametrize(
    ("batch", "queries"), [(1, 5000), (8, 3000), (64, 128), (64, 700), (100, 200), (512, 256), (900, 20)]
)
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_said_of_any_batch_fits_a_frame(batch: int, queries: int, whole: bool) -> None:
    columns, *rows = found(batch, queries, whole=whole)
    facts = ForwardFacts(
        1, 0.5, 1, "prefill", 0.1, queries, (ROW,) * batch, whole=whole,
        position_columns=tuple(columns), positions=tuple(map(tuple, rows)),
    )  # fmt: skip
    assert HEADER_BYTES + len(encode([facts])) <= MAX_FRAME_BYTES
    assert (columns[0], columns[-1]) == (0, queries - 1)


@pytest.mark.parametrize(
    ("batch", "queries", "rows", "columns"),
    [(6, 120, 6, 120), (1, 5000, 1, 1024), (64, 700, 64, 128), (100, 50, 64, 50), (20, 5000, 20, 409)],
)
def test_a_whole_pass_shows_64_rows_in_as_many_columns_as_8192_positions_leave(
    batch: int, queries: int, rows: int, columns: int
) -> None:
    shown, *positions = found(batch, queries, whole=True)
    assert (len(positions), len(shown)) == (rows, columns)
    assert [value != ABSENT for value in positions[0]] == [column >= queries // 2 for column in shown]
    assert positions[-1][-1] == 100_000 + queries - 1 if batch > 1 else True
