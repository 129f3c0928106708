"""A watched model beside the manifest of the last good release: every difference becomes a finding."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from locant.observation import RELEASE_HARM, RELEASE_NOTE, Deviation

if TYPE_CHECKING:
    from locant.manifest import Change, Manifest
    from locant.probe.probe import Probe


def read_pinned(path: str | os.PathLike[str] | None) -> Manifest | None:
    """The manifest at `path`, None for None. Raises ConfigError when it is none."""
    if path is None:
        return None
    from locant.manifest import read_manifest

    return read_manifest(Path(path))


def report_changes(probe: Probe, pinned: Manifest) -> None:
    """Tell the agent what is different about the probe's model. Parameters and tables only: the model is not run."""
    from locant.manifest import compare
    from locant.probe.fingerprint import fingerprint

    changes = compare(pinned, fingerprint(probe.model, golden=False))
    if changes:
        probe.announce(tuple(_deviation(change) for change in changes))


def _deviation(change: Change) -> Deviation:
    return Deviation(
        module=change.what,
        what=RELEASE_HARM if change.harmful else RELEASE_NOTE,
        relative_error=math.inf if change.harmful else 0.0,
        expected=change.before,
        found=change.after,
    )
