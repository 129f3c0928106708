"""Switches replay on for a watch."""

from __future__ import annotations

from locant.host import ProbeHost
from locant.probe.probe import Probe
from locant.replay.options import ReplayOptions
from locant.replay.service import Replay


def start_replay(host: ProbeHost, probe: Probe, options: ReplayOptions | None = None) -> Replay:
    """Replay sampled requests of a watched model on its agent's thread (`host`) until the probe is closed."""
    replay = Replay(probe, options or ReplayOptions(), host.channel.offer).start()
    remove = host.add_chore(replay.tend)
    probe.on_close(remove)
    probe.on_close(replay.close)
    return replay
