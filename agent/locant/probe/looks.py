"""One unit's closer looks: what the samplers want of a pass, what the governor allows, and what it came to."""

from __future__ import annotations

from collections.abc import Callable

from locant.probe.effort import ATTENTION_EFFORTS, ROTARY_EFFORTS, Look
from locant.probe.governor import Governor
from locant.probe.options import ProbeOptions
from locant.probe.passes import Pass
from locant.probe.sampling import Sampler

_FRESH_PASSES, _FRESH_SECONDS = 1000, 60.0
"""Attention counts as seen for so many passes, or so long, after it was: whichever is more."""


class Looks:
    """Chooses looks and accounts for them. `seen` is told of each pass whose attention was looked at."""

    def __init__(self, options: ProbeOptions, governor: Governor, timer: Callable[[], float]) -> None:
        self._governor = governor
        self._timer = timer
        self._attention = Sampler(options.attention_rate)
        self._decoding = Sampler(options.attention_rate / 4)
        self._rotary = Sampler(options.rotary_rate)
        self._last_seen: tuple[int, float] | None = None

    def at_rotary(self, state: Pass) -> Look | None:
        """A look at cos and sin of this pass, or None."""
        return self._look("rotary", self._rotary, state)

    def at_attention(self, state: Pass) -> Look | None:
        """A look at the attention of this pass, or None. Wanted in every pass whose requests were declared."""
        return self._look("attention", self._decoding if state.phase == "decode" else self._attention, state)

    def seen(self, state: Pass) -> None:
        """The attention of this pass was looked at, and met or not."""
        self._last_seen = (state.number, state.stopwatch.stopped) if state.layers else None

    def covers(self, state: Pass) -> bool:
        """Whether attention was seen lately enough to speak for this pass."""
        if self._last_seen is None:
            return False
        number, stopped = self._last_seen
        return state.number - number <= _FRESH_PASSES or state.stopwatch.stopped - stopped <= _FRESH_SECONDS

    def account(self, state: Pass) -> None:
        """Tell the governor what the pass and its looks took. Ask when its device is ready."""
        looks = [(look, look.seconds) for look in state.looks]
        inside = sum(look.host_seconds for look in state.looks) - state.armed_seconds
        forward = max(state.stopwatch.host_seconds - inside, state.stopwatch.seconds - sum(s for _, s in looks), 0.0)
        self._governor.passed(state.kind, forward, state.hook_seconds, looks)

    def _look(self, subject: str, sampler: Sampler, state: Pass) -> Look | None:
        always = subject == "attention" and state.segments is not None
        interest = sampler.ask(state.kind, always=always)
        efforts = ROTARY_EFFORTS if subject == "rotary" else ATTENTION_EFFORTS
        look = self._governor.choose(subject, state.kind, efforts, interest, single=state.phase == "decode")
        if look is not None:
            look.timer = self._timer
            sampler.took(state.kind)
            state.looks.append(look)
        return look
