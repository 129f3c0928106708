"""The numbers of a kept pass as tables, for text and page alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from locant.observation import ABSENT, NOT_RELIABLE, AttentionFacts, RowFacts, RowField
from locant.sidecar.kept.passes import STATISTICS, KeptPass

NOTHING = "–"
"""Stands where a fact could not be observed."""
_ROW_FIELDS = tuple(name for name in RowFacts._fields if name != "first_token_hash")
_VISIBILITY = RowFacts._fields[RowField.WINDOW_EXCESS :]


@dataclass(frozen=True, slots=True)
class Grid:
    """A titled table of text."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def grids(kept: KeptPass) -> Iterator[Grid]:
    """The pass, its rows, and what each layer's mask does where that was said."""
    facts = kept.facts
    told = {
        "phase": facts.phase,
        "pass": facts.pass_number,
        "tokens per row": facts.queries,
        "mask": {0: "none", 2: "2-D"}.get(facts.mask_rank, f"{facts.mask_rank}-D"),
        "position ids given": facts.positions_given,
        "seconds, look included" if kept.layers else "seconds": facts.duration_seconds,
        "trace": facts.trace_id or NOTHING,
    }
    yield Grid("Pass", tuple(told), (tuple(map(cell, told.values())),))
    yield _rows(facts.rows)
    if any(layer.visibility for layer in kept.layers):
        yield _masks(kept.layers)


def layer_grids(kept: KeptPass) -> Iterator[Grid]:
    """The statistics of each layer that was looked at, a line a head."""
    return (_layer(layer) for layer in kept.layers if layer.rows)


def summary_grid(kept: KeptPass) -> Grid:
    """A line a layer: each statistic's mean over heads; those that are 0 everywhere are left out."""
    looked = [layer for layer in kept.layers if layer.rows]
    shown = [name for name in STATISTICS if any(any(getattr(layer, name)) for layer in looked)]
    lines = tuple((str(layer.layer), *(_mean(layer, name) for name in shown)) for layer in looked)
    title = "Layers: means over sampled rows and heads; what is left out is 0"
    return Grid(title, ("layer", *map(called, shown)), lines)


def holds(kept: KeptPass) -> str:
    """What there is of the pass, in a sentence."""
    looked = [layer for layer in kept.layers if layer.rows]
    if not looked:
        return "No pass of this finding was looked at closely: attention is sampled."
    maps = sum(layer.heat_bins > 0 for layer in looked)
    how = "Looked at whole, as the agent asked" if kept.facts.whole else "Looked at by chance"
    heads = max(len(layer.entropy) for layer in looked)
    said = f"{how}: {_many(len(looked), 'layer')} with {_many(heads, 'head')}, {_many(looked[0].rows, 'sampled row')}, "
    said += _many(maps, "heat map")
    rows, columns = len(kept.facts.positions), len(kept.facts.position_columns)
    return said + (f", positions of {_many(rows, 'row')} in {_many(columns, 'column')}." if rows else ".")


def cell(value: object) -> str:
    """One value as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else NOTHING if value == ABSENT else str(value)


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _rows(rows: Sequence[RowFacts]) -> Grid:
    """Rows of the batch; facts that no row has are left out."""
    shown = [name for name in _ROW_FIELDS if any(getattr(row, name) != ABSENT for row in rows)]
    lines = tuple((str(index), *(cell(getattr(row, name)) for name in shown)) for index, row in enumerate(rows))
    return Grid("Rows", ("row", *(name.replace("_", " ") for name in shown)), lines)


def _masks(layers: Sequence[AttentionFacts]) -> Grid:
    """A line for every run of layers with the same mask, which are most of them."""
    said = [(layer.layer, _mask(layer)) for layer in layers if layer.visibility]
    runs: list[tuple[int, int, tuple[str, ...]]] = []
    for layer, line in said:
        if runs and runs[-1][2] == line and layer == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], layer, line)
        else:
            runs.append((layer, layer, line))
    lines = tuple((f"{first}" if first == last else f"{first} to {last}", *line) for first, last, line in runs)
    heads = ("layers", "mask", "window", *(name.replace("_", " ") for name in _VISIBILITY))
    return Grid("Masks: the largest count of keys over judged queries; 0 is healthy", heads, lines)


def _mask(layer: AttentionFacts) -> tuple[str, ...]:
    counts = (*layer.visibility, *[ABSENT] * len(_VISIBILITY))[: len(_VISIBILITY)]
    return layer.mask or NOTHING, str(layer.window) if layer.window else NOTHING, *map(cell, counts)


def called(statistic: str) -> str:
    """Its name, and a word where so many rows of one pass say little of it."""
    return statistic.replace("_", " ") + (" (rough)" if statistic in NOT_RELIABLE else "")


def _mean(layer: AttentionFacts, name: str) -> str:
    sums = getattr(layer, name)
    return cell(sum(sums) / len(sums) / layer.rows) if sums else NOTHING


def _layer(layer: AttentionFacts) -> Grid:
    """Means over the sampled rows, a line a head; statistics that the file does not have are left out."""
    shown = [name for name in STATISTICS if getattr(layer, name)]
    heads = layer.heads or tuple(range(len(layer.entropy)))
    lines = tuple(
        (str(head), *(cell(getattr(layer, name)[place] / layer.rows) for name in shown))
        for place, head in enumerate(heads)
    )
    title = f"Layer {layer.layer}: means over {layer.rows} sampled rows"
    return Grid(title, ("head", *map(called, shown)), lines)
