"""What the signals of a Unix process mean to the agent."""

from __future__ import annotations

import signal
from types import FrameType

from locant.daemon import Daemon


def obey_signals(daemon: Daemon) -> None:
    """SIGTERM and SIGINT stop the daemon, SIGHUP makes it read its configuration again. Main thread only."""

    def stop(number: int, frame: FrameType | None) -> None:
        daemon.stop()

    def reload(number: int, frame: FrameType | None) -> None:
        daemon.request_reload()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, reload)
