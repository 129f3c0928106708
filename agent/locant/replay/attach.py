"""Switches replay on for a watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locant.replay.options import ReplayOptions
from locant.replay.service import Replay

if TYPE_CHECKING:
    from locant.watching import Watch


def start_replay(watch: Watch, options: ReplayOptions | None = None) -> Replay:
    """Replay sampled requests of a watched model on its agent's thread until the watch is closed."""
    host = watch.agent.host
    replay = Replay(watch.probe, options or ReplayOptions(), host.channel.offer).start()
    remove = host.add_chore(replay.tend)
    watch.probe.on_close(remove)
    watch.probe.on_close(replay.close)
    return replay
