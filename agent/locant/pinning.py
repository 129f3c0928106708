"""Pins what a sidecar has measured: the release that is meant, the parts that have evidence enough, or why not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from locant.sidecar.config import AgentConfig
from locant.sidecar.measured import reference_of
from locant.sidecar.references import Reference, References, read_if_there
from locant.sidecar.saved import PARTS, SavedRelease, SavedState
from locant_slo.errors import ConfigError
from locant_slo.findings import Severity
from locant_slo.moments import format_moment

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Pin:
    """A reference of `model` that is fit to be pinned. `missing`: each part that is not in it, and why."""

    model: str
    reference: Reference
    missing: dict[str, str]


def chosen_release(state: SavedState, model: str | None, version: str | None) -> SavedRelease:
    """The release of that name, or the only one. Raises ConfigError that names those that are there."""
    there = state.releases
    if not there:
        raise ConfigError("no model was under watch yet; serve traffic, then pin")
    fit = [one for one in there if model in (None, one.model) and version in (None, one.version)]
    if len(fit) == 1:
        return fit[0]
    names = "; ".join(f"--model={shown(one.model)} --model.version={shown(one.version)}" for one in fit or there)
    if not fit:
        raise ConfigError(f"there is no such release; choose {names}")
    raise ConfigError(f"{len(fit)} releases are there, and one can be pinned; choose {names}")


def pin_of(release: SavedRelease, config: AgentConfig, parts: Sequence[str] = ()) -> Pin:
    """What can be pinned of a release, by the minimums of the agent's configuration.

    Lengths must have evidence enough, the other parts are pinned where they have; of `parts`, where any are named,
    each must, and nothing else is pinned. Raises ConfigError that says how much is missing.
    """
    reference = reference_of(release)
    short = {part: why for part in PARTS if (why := _shortage(part, release, reference, config))}
    demanded = parts or ("lengths",)
    lacking = [f"{part}: {short[part]}" for part in demanded if part in short]
    if lacking:
        name = f"{shown(release.model)} {shown(release.version)}"
        ready = " ".join(f"--part={part}" for part in PARTS if part not in short)
        instead = f"; {ready} can be pinned now" if ready else ""
        raise ConfigError(f"{name} has too little evidence: {'; '.join(lacking)}{instead}")
    left_out = {
        part: short.get(part, "not asked for") for part in PARTS if part in short or (parts and part not in parts)
    }
    return Pin(release.model, _only(reference, [part for part in PARTS if part not in left_out], config), left_out)


def refuse_findings(state: SavedState, release: SavedRelease) -> None:
    """Raise ConfigError when findings say that the output of this release is wrong."""
    own = (release.model, release.version)
    paging = [one for one in state.findings if (one.model, one.model_version) == own and one.severity is Severity.PAGE]
    if paging:
        names = ", ".join(sorted({one.check for one in paging}))
        raise ConfigError(
            f"{shown(release.model)} {shown(release.version)} has findings that page ({names}), so it is not what good "
            "looks like; mend it and pin the next release, or say --despite-findings"
        )


def placed(pin: Pin, target: Path, *, force: bool) -> References:
    """The references of the file with this pin among them; other models' stay.

    Raises ConfigError for a file that is damaged or foreign, and for one that has this model's already, unless `force`.
    """
    known = read_if_there(target) or References()
    before = known.models.get(pin.model)
    if before is not None and not force:
        raise ConfigError(
            f"{target}: holds {shown(pin.model)} {shown(before.model_version)} already; say --force to replace it, or "
            "choose another file"
        )
    return known.with_model(pin.model, pin.reference)


def report(pin: Pin) -> Iterable[str]:
    """Lines for a person: whose reference it is, what is in it with its size, what is not and why."""
    one = pin.reference
    when = f", as it was at {format_moment(one.pinned_at.timestamp())}" if one.pinned_at else ""
    yield f"pinned {shown(pin.model)} {shown(one.model_version)}{when}"
    if one.lengths is not None:
        since = f" since {format_moment(one.counted_since.timestamp())}" if one.counted_since else ""
        yield f"  lengths: {sum(one.lengths.counts)} sequences{since}"
    if one.canary:
        yield f"  canary: {sum(one.canary.values())} of {len(one.canary)} answers right"
    if one.loss:
        yield f"  loss: {len(one.loss)} position buckets"
    if one.entropy:
        yield f"  entropy: {len(one.entropy)} layers, {min(layer.rows for layer in one.entropy.values())} rows or more"
    if one.costs is not None:
        kinds, growth = len(one.costs.passes), one.costs.cache_bytes_per_token
        machine = shown(one.costs.machine) or "an unknown machine, so that no time will be compared"
        yield f"  costs: {kinds} kinds of pass, on {machine}" if kinds else "  costs: no kind of pass was steady yet"
        yield f"  costs: caches grow by {growth:g} bytes per token" if growth else "  costs: no cache was seen to grow"
    yield from (f"  not pinned: {part}: {why}" for part, why in pin.missing.items())
    if one.lengths is not None and one.pinned_at and one.counted_since and one.pinned_at - one.counted_since < _WEEK:
        yield "  note: lengths of less than a week; where days differ, pin again when they span seven whole ones"


def shown(label: str) -> str:
    """A label as it is, or escaped: a terminal must not obey what a model's process calls itself."""
    return label if label.isprintable() else ascii(label)


def _shortage(part: str, release: SavedRelease, reference: Reference, config: AgentConfig) -> str:
    """Why a part is not enough to pin; empty when it is."""
    if part == "lengths":
        counted, needed = sum(reference.lengths.counts) if reference.lengths else 0, config.drift_minimum_sequences
        return f"{counted} of {needed} sequences (drift_minimum_sequences)" if counted < needed else ""
    if part == "entropy":
        most, needed = max((one.rows for one in reference.entropy.values()), default=0), config.entropy_minimum_rows
        return f"at most {most} of {needed} rows in any layer (entropy_minimum_rows)" if most < needed else ""
    if part == "costs":
        return "" if reference.costs else "nothing was followed long enough (blocks of passes over ten minutes)"
    if release.canary.last_run is None:
        return "no canary run was finished"
    return "" if getattr(reference, part) else "no canary case measured it"


def _only(reference: Reference, parts: Sequence[str], config: AgentConfig) -> Reference:
    """These parts alone, and of entropy the layers with rows enough."""
    kept = {part: getattr(reference, part) for part in parts}
    if "entropy" in kept:
        rows = config.entropy_minimum_rows
        kept["entropy"] = {layer: one for layer, one in kept["entropy"].items() if one.rows >= rows}
    empty = Reference(
        model_version=reference.model_version,
        pinned_at=reference.pinned_at,
        counted_since=reference.counted_since,
    )
    return empty.model_copy(update=kept)
