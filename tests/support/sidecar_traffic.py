"""Observations as a probe would send them, a judge that says what it is told, and a reader of snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from locant.observation import (
    ABSENT,
    AttentionFacts,
    CanaryFacts,
    ForwardFacts,
    ModelAttached,
    ModelProfile,
    Observation,
    RowFacts,
)
from locant.sidecar.accountant import Step
from locant.sidecar.saved import SavedCosts
from locant_slo.catalogue import Metric
from locant_slo.findings import FailureMode, Finding, Severity
from locant_slo.snapshot import HistogramSample, Sample, Snapshot

START = 1_764_000_000.0
MODEL, VERSION = "tiny", "r1"
OWN = (MODEL, VERSION)
PROFILE = ModelProfile(
    family="llama",
    scheme="rope",
    kind="decoder",
    absolute=False,
    base=0,
    trained_tokens=1024,
    table_rows=None,
    pad_id=0,
    separator_id=None,
    token_types=0,
    window=None,
    causal=True,
    layers=2,
    heads=4,
    head_size=16,
    cache_bytes_per_token=1024,
    config_hash="c0ffee",
    parameters=1000,
)


@dataclass
class Clock:
    """Time that moves when it is told to."""

    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class StubVerdict:
    """Any verdict."""

    findings: tuple[Finding, ...] = ()
    bad_rows: frozenset[int] = frozenset()
    streaming_bad_rows: frozenset[int] = frozenset()
    anomalous_rows: frozenset[int] = frozenset()
    step: Step | None = None


@dataclass
class ScriptedJudge:
    """Answers with what `script` says of an observation; healthy where it says nothing."""

    script: Callable[[Observation], StubVerdict | None] = lambda observation: None
    seen: list[Observation] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    priced: dict[tuple[str, str], SavedCosts] = field(default_factory=dict)

    def judge(self, observation: Observation) -> StubVerdict:
        self.seen.append(observation)
        return self.script(observation) or StubVerdict()

    def forget(self, model_id: int) -> None:
        self.forgotten.append(model_id)

    def compare(self, references: object) -> None:
        """Nothing to compare: no costs are kept."""

    def costs(self) -> dict[tuple[str, str], SavedCosts]:
        return self.priced

    def recall(self, saved: object) -> None:
        """Nothing to go on with."""


def attached(model_id: int = 1, *, version: str = VERSION, profile: ModelProfile = PROFILE) -> ModelAttached:
    return ModelAttached(model_id, START, MODEL, version, profile)


def row(real: int, *, before: int = 0, left_pads: int = 0, seen: bool = True, **fields: int) -> RowFacts:
    """A healthy row of `real` tokens after `before` others; `seen=False`: its positions could not be observed."""
    healthy = RowFacts(*([0] * len(RowFacts._fields)))._replace(
        real=real,
        left_pads=left_pads,
        real_before=before,
        cache_tokens=before,
        first_position=before,
        last_position=before + real - 1,
        min_position=before,
        max_position=before + real - 1,
        first_token_hash=1,
    )
    hidden = {name: ABSENT for name in RowFacts._fields if "position" in name} if not seen else {}
    return healthy._replace(**hidden)._replace(**fields)


def forward(*rows: RowFacts, phase: str = "prefill", **fields: object) -> ForwardFacts:
    """A pass over `rows`, as wide as its widest one unless `queries` says otherwise."""
    width = max((r.real + r.left_pads + r.right_pads for r in rows), default=0)
    facts = ForwardFacts(1, START, 1, phase, 0.01, width, rows, seen=("positions", "mask", "cache", "timing"))
    return replace(facts, **fields)  # type: ignore[arg-type]


def attention(
    layer: int = 0, *, rows: int = 10, heads: int = 4, entropy: float = 1.0, **fields: object
) -> AttentionFacts:
    """Sampled rows of one layer: every head has the same mean `entropy` and a tenth of its mass on itself."""
    share = (0.1 * rows,) * heads
    facts = AttentionFacts(
        model_id=1,
        time=START,
        pass_number=1,
        layer=layer,
        rows=rows,
        padded_rows=0,
        padding_mass=(0.0,) * heads,
        padding_mass_largest=0.0,
        entropy=(entropy * rows,) * heads,
        distance=(5.0 * rows,) * heads,
        first_token_mass=share,
        future_mass=(0.0,) * heads,
        self_mass=share,
        recency_mass=share,
        largest_weight=share,
        cross_mass=(0.0,) * heads,
        window_mass=(0.0,) * heads,
        relative_entropy=share,
        log_distance=(1.5 * rows,) * heads,
    )
    return replace(facts, **fields)  # type: ignore[arg-type]


def canary(case: str, right: bool, **fields: object) -> CanaryFacts:
    facts = CanaryFacts(1, START, case, "copy", "up_to_1", False, right)
    return replace(facts, **fields)  # type: ignore[arg-type]


def finding(check: str = "offset_ledger", severity: Severity = Severity.PAGE, **fields: object) -> Finding:
    return replace(Finding(FailureMode.BATCH_MIXUP, severity, check, "Positions went on."), **fields)  # type: ignore[arg-type]


def samples(snapshot: Snapshot, metric: Metric) -> dict[tuple[str, ...], Sample | HistogramSample]:
    """A metric's samples by label values; empty when it has none."""
    families = [family for family in snapshot.families if family.metric is metric]
    return {sample.labels: sample for family in families for sample in family.samples}


def values(snapshot: Snapshot, metric: Metric) -> dict[tuple[str, ...], float]:
    """A counter's or gauge's values by label values."""
    return {labels: one.value for labels, one in samples(snapshot, metric).items() if isinstance(one, Sample)}


def value(snapshot: Snapshot, metric: Metric, *labels: str) -> float:
    return values(snapshot, metric)[labels]


def histogram(snapshot: Snapshot, metric: Metric, *labels: str) -> HistogramSample:
    one = samples(snapshot, metric)[labels]
    assert isinstance(one, HistogramSample)
    return one


def each(*batches: Iterable[Observation]) -> list[Observation]:
    return [observation for batch in batches for observation in batch]
