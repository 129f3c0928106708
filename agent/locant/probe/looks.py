"""One unit's closer looks: what the samplers want of a pass, what the governor allows, and what it came to."""

from __future__ import annotations

from collections.abc import Callable

from locant.probe.effort import ROTARY_EFFORTS, Chance, Interest, Look, attention_efforts, whole_efforts
from locant.probe.governor import Governor
from locant.probe.options import ProbeOptions
from locant.probe.passes import Pass
from locant.probe.sampling import Sampler
from locant.probe.wishes import Wish, Wishes

_FRESH_PASSES, _FRESH_SECONDS = 1000, 60.0
"""Attention counts as seen for so many passes, or so long, after it was: whichever is more."""


class Looks:
    """Chooses looks and accounts for them. `seen` is told of each pass whose attention was looked at.

    `layers`: how many the model has; `wishes`: what the agent asked to see of it.
    """

    def __init__(
        self, options: ProbeOptions, governor: Governor, timer: Callable[[], float], layers: int, wishes: Wishes
    ) -> None:
        self._governor = governor
        self._wishes = wishes
        chosen = len(options.attention_layers) if options.attention_layers is not None else layers
        self._usual = attention_efforts(options.attention_rows)
        self._whole = whole_efforts(options.attention_rows, max(chosen, 1))
        self._timer = timer
        self._attention = Sampler(options.attention_rate)
        self._decoding = Sampler(options.attention_rate / 4)
        self._rotary = Sampler(options.rotary_rate)
        self._last_seen: tuple[int, float] | None = None

    def at_rotary(self, state: Pass) -> Look | None:
        """A look at cos and sin of this pass, or None."""
        return self._look("rotary", self._rotary, state, wanted=False)

    def at_attention(self, state: Pass) -> Look | None:
        """A look at the attention of this pass, or None. Wanted in every pass whose requests were declared."""
        sampler = self._decoding if state.phase == "decode" else self._attention
        if self._wishes.waiting is not None:
            wish = self._wishes.claim(state.phase)
            if wish is not None:
                return self._wished(sampler, state, wish)
            if self._wishes.waiting is None:
                self._governor.save_no_more()
        return self._look("attention", sampler, state, wanted=state.segments is not None)

    def seen(self, state: Pass) -> None:
        """The attention of this pass was looked at, and met or not."""
        self._last_seen = (state.number, state.stopped) if state.layers else None

    def covers(self, state: Pass) -> bool:
        """Whether attention was seen lately enough to speak for this pass."""
        if self._last_seen is None:
            return False
        number, stopped = self._last_seen
        return state.number - number <= _FRESH_PASSES or state.stopped - stopped <= _FRESH_SECONDS

    def account(self, state: Pass) -> None:
        """Tell the governor what the pass and its looks took. Ask when its device is ready."""
        host, device = state.stopped - state.started, state.seconds
        if not state.looks:
            self._governor.passed(state.kind, max(host, device), state.hook_seconds)
            return
        looks = [(look, look.seconds) for look in state.looks]
        inside = sum(look.host_seconds for look in state.looks) - state.armed_seconds
        forward = max(host - inside, device - sum(seconds for _, seconds in looks), 0.0)
        self._governor.passed(state.kind, forward, state.hook_seconds, looks)

    def _wished(self, sampler: Sampler, state: Pass, wish: Wish) -> Look | None:
        """The whole look that was asked for; nothing while the budget saves for it; else one of the usual efforts."""
        found = self._governor.choose_whole("attention", state.kind, self._whole, single=state.phase == "decode")
        if isinstance(found, Look):
            self._wishes.fulfilled()
            return self._begun(found, sampler, state)
        look = None
        if found is Chance.NONE:
            look = self._look("attention", sampler, state, wanted=not wish.tried or state.segments is not None)
            wish.tried = wish.tried or look is not None
        self._wishes.put_back(wish)
        return look

    def _look(self, subject: str, sampler: Sampler, state: Pass, *, wanted: bool) -> Look | None:
        interest = sampler.ask(state.kind, always=wanted)
        if interest is Interest.NONE:
            return None
        efforts = ROTARY_EFFORTS if subject == "rotary" else self._usual
        look = self._governor.choose(subject, state.kind, efforts, interest, single=state.phase == "decode")
        return self._begun(look, sampler, state) if look is not None else None

    def _begun(self, look: Look, sampler: Sampler, state: Pass) -> Look:
        look.timer = self._timer
        sampler.took(state.kind)
        state.looks += (look,)
        return look
