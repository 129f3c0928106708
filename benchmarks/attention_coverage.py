"""How often the 95 % interval of a sampled statistic covers the truth, on the attention of trained models.

    python benchmarks/attention_coverage.py [--seeds 200] [--train-minutes 4] [--quick] [--json OUT]

The statistics of every row of a pass are computed once; their mean is the truth. Then 32 rows are drawn as the probe
draws them, for many seeds, and `strata.weighted_mean` states a mean and its error from those rows alone. "covers" is
the share of draws whose interval holds the truth, for single heads and for the mean over heads, which is what the agent
exports; "off by" the root mean square error over the truth; "even" the same for rows in equal strata, which is what one
would do without a thought of the first token.

Masses that are 0 in a healthy model are measured on faulty ones: a batch whose padding mask is lost, packed texts
without a boundary, a mask that lets everything through, a window that is not kept. Exit status 1 when a statistic
covers less than 90 % over all and `observation.NOT_RELIABLE` does not say so. Where its package is installed, a real
language model takes part: see `trained_models.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from attention_cases import FAULTY, Case, cases
from torch import Tensor
from trained_models import Trained, beds, byte_model, published

from locant.observation import NOT_RELIABLE
from locant.probe.attention.capture import AttentionCapture
from locant.probe.attention.contract import STATISTICS, PassContext
from locant.probe.attention.engine import row_statistics
from locant.probe.attention.layout import lay_out
from locant.probe.attention.rows import Rows, uniform
from locant.probe.attention.strata import reach_95, sample_rows, weighted_mean
from locant.probe.profile import describe

ROWS, LEAST = 32, 0.90
_CPU = torch.device("cpu")
_NOTHING = 1e-7


@dataclass(frozen=True)
class Line:
    """One statistic of one model and case: shares of intervals, and errors relative to the truth."""

    model: str
    case: str
    statistic: str
    covers_head: float
    off_head: float
    even_head: float
    covers_mean: float
    off_mean: float
    even_mean: float


def all_rows(trained: Trained, case: Case) -> Tensor:
    """The statistics of every row, float64 [layers, statistics, H, N, Q], by the probe's own seams and engine.

    Of deep models every third layer.
    """
    queries = torch.arange(case.context.queries).expand(case.context.batch, -1)
    every = Rows(None, queries, torch.ones(queries.shape))
    found: list[Tensor] = []

    def engine(call: Any, rows: Rows, layout: Any, window: int | None = None, **_: Any) -> Tensor:
        there = lay_out(case.context, call.keys, every)
        found.append(row_statistics(call, every, there, case.window or window).double())
        return row_statistics(call, rows, layout, window)

    profile, errors = describe(trained.model), list[Exception]()
    layers = tuple(range(0, profile.layers, 3 if profile.layers > 12 else 1))
    capture = AttentionCapture(trained.model, profile, layers=layers, on_error=errors.append, engine=engine)
    capture.arm(case.context, lambda _: None)
    trained.model(input_ids=case.ids, attention_mask=case.mask, use_cache=False, logits_to_keep=1)
    capture.close()
    if errors or len(found) != len(layers):
        raise RuntimeError(f"{trained.name}, {case.name}: {len(found)} of {len(layers)} layers were seen; {errors}")
    return torch.stack(found).permute(0, 1, 4, 2, 3).nan_to_num(neginf=0.0)  # of padding, which weighs nothing


def even_rows(context: PassContext, rows: int) -> Rows:
    """One uniform row in each of so many equal strata of every sequence's real rows."""
    real = context.query_real if context.query_real is not None else torch.ones(context.batch, context.queries).bool()
    each, total = max(rows // context.batch, 1), real.sum(1, keepdim=True)
    rank = ((torch.arange(each) + uniform(context.seed, (context.batch, each), _CPU)) * total / each).long()
    queries = torch.searchsorted(real.cumsum(1), rank.minimum(total - 1) + 1)
    return Rows(None, queries, (total / each).expand(-1, each).float())


def scores(values: Tensor, context: PassContext, seeds: int) -> list[tuple[float, float, float]]:
    """Coverage, error and error of even rows for each statistic, from values [layers, statistics, H, N, Q] of all rows.

    Heads in which the statistic is 0 in every row are left out; without any other it is not a number.
    """
    real = context.query_real
    weights = torch.ones(values.shape[-2:]).double() if real is None else real.double()
    truth = (values * weights).sum((-2, -1)) / weights.sum()
    hits, squares, even = (torch.zeros_like(truth) for _ in range(3))
    for seed in range(seeds):
        drawn = replace(context, seed=seed * 7919 + 1)
        rows = sample_rows(drawn, ROWS, _CPU)
        mean, error = weighted_mean(values[..., rows.index(), rows.queries], rows.weights.double())
        apart = mean - truth
        hits += apart.abs() <= reach_95(rows.weights) * error + 1e-9
        squares += apart.square()
        rows = even_rows(drawn, ROWS)
        even += (weighted_mean(values[..., rows.index(), rows.queries], rows.weights.double())[0] - truth).square()
    there = (values.abs() * weights).amax((-2, -1)) > _NOTHING
    size = _among(truth.square(), there).sqrt()
    each = (_among(hits, there) / seeds, *((_among(sums, there) / seeds).sqrt() / size for sums in (squares, even)))
    return [tuple(map(float, column)) for column in zip(*each, strict=True)]


def _among(table: Tensor, there: Tensor) -> Tensor:
    """Means over layers and heads [layers, statistics, H] where something is there, [statistics]."""
    return (table * there).sum((0, 2)) / there.sum((0, 2))


def measure(trained: Trained, length: int, texts: int, seeds: int) -> Iterator[Line]:
    """Every statistic that is not 0, in each case that is about it."""
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for text in range(texts):
        for case in cases(trained, length, ROWS, text * 100):
            healthy = case.name not in FAULTY.values()
            about = [
                place for place, name in enumerate(STATISTICS) if FAULTY.get(name) == (None if healthy else case.name)
            ]
            if not about:
                continue
            values = all_rows(trained, case)[:, about]
            heads, means = (scores(part, case.context, seeds) for part in (values, values.mean(2, keepdim=True)))
            for place, head, mean in zip(about, heads, means, strict=True):
                found.setdefault((case.name, STATISTICS[place]), []).append((*head, *mean))
    for (case_name, name), several in found.items():
        yield Line(
            f"{trained.name}, {length}",
            case_name,
            name,
            *(sum(column) / texts for column in zip(*several, strict=True)),
        )


def models(names: Sequence[str], minutes: float) -> Iterator[tuple[Trained, tuple[int, ...], int]]:
    """The chosen models, with the lengths at which to measure and the most texts that are worth the time."""
    if "beds" in names:
        for bed in beds():
            yield bed, (getattr(bed.model.config, "n_positions", 128),), 9
    if "bytes" in names:
        yield byte_model(minutes), (256, 1024), 9
    if "published" in names:
        real = published()
        if real is not None:
            yield real, (512,), 1
        else:
            print("# SmolLM2-135M: NOT MEASURED, not installed; see benchmarks/trained_models.py", flush=True)


def totals(lines: Sequence[Line]) -> Iterator[tuple[str, float, float]]:
    """Each statistic's share of covering intervals over all models and cases: single heads, mean over heads.

    Passes so short that every row was taken say nothing.
    """
    for name in STATISTICS:
        mine = [line for line in lines if line.statistic == name and line.off_head > 1e-6]
        if mine:
            yield (
                name,
                *(sum(getattr(line, key) for line in mine) / len(mine) for key in ("covers_head", "covers_mean")),
            )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--texts", type=int, default=3)
    parser.add_argument("--train-minutes", type=float, default=4.0, help="processor time for the byte model")
    parser.add_argument("--models", default="beds,bytes,published")
    parser.add_argument("--quick", action="store_true", help="the beds alone, one text, 20 draws: too few to judge")
    parser.add_argument("--json", help="write the lines to this file too")
    parser.add_argument("--read", nargs="*", default=[], help="only sum up what earlier runs wrote")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    lines = [Line(**line) for file in chosen.read for line in json.loads(Path(file).read_text(encoding="utf-8"))]
    if not lines:
        names = ["beds"] if chosen.quick else chosen.models.split(",")
        texts, seeds = (1, 20) if chosen.quick else (chosen.texts, chosen.seeds)
        lines = list(_told(names, texts, seeds, chosen.train_minutes))
    if chosen.json:
        Path(chosen.json).write_text(json.dumps([asdict(line) for line in lines], indent=1), encoding="utf-8")
    return 0 if verdict(lines) or chosen.quick else 1


@torch.no_grad()
def _told(names: Sequence[str], texts: int, seeds: int, minutes: float) -> Iterator[Line]:
    """Every line, printed as soon as it is known."""
    print(f"{'model, tokens':22} {'case':13} {'statistic':17} head: covers  off by    even   mean: the same")
    for trained, lengths, most in models(names, minutes):
        for length in lengths:
            for line in measure(trained, length, min(texts, most), seeds):
                head = f"{line.covers_head:13.1%} {line.off_head:7.1%} {line.even_head:7.1%}"
                mean = f"{line.covers_mean:7.1%} {line.off_mean:7.1%} {line.even_mean:7.1%}"
                print(f"{line.model:22} {line.case:13} {line.statistic:17} {head} {mean}", flush=True)
                yield line


def verdict(lines: Sequence[Line]) -> bool:
    """Print what the statistics came to; whether each is as reliable as it is said to be."""
    right = True
    print("\n| statistic | one head | mean over heads | |\n|---|---|---|---|")
    for name, head, mean in totals(lines):
        said = "**not reliable**" if name in NOT_RELIABLE else ""
        right = right and (min(head, mean) >= LEAST or bool(said))
        print(f"| {name} | {head:.1%} | {mean:.1%} | {said} |")
    return right


if __name__ == "__main__":
    sys.exit(main())
