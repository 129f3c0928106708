"""Watching without a code change: every transformers model comes under watch as it is loaded, or at its first forward.

Used by `locant run` and by `opentelemetry-instrument` (entry point `opentelemetry_instrumentor`). What goes wrong here
is logged, and the program goes on unwatched.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
import weakref
from collections.abc import Callable, Collection
from types import ModuleType
from typing import TYPE_CHECKING, Any

from locant.importing import after_import

if TYPE_CHECKING:
    from torch import nn

    from locant.watching import AnyAgent, Watch

VERSION_VARIABLE = "LOCANT_MODEL_VERSION"
"""Environment variable with the release that is served; without it the version is found in the model's config."""
_MODELING = "transformers.modeling_utils"
_LOG = logging.getLogger("locant.instrument")


class Instrumentation:
    """The patches on transformers and the watches that they put on. One per process; `undo` leaves no trace."""

    def __init__(self, agent: Callable[[], AnyAgent]) -> None:
        self._make_agent = agent
        self._agent: AnyAgent | None = None
        self._watches: weakref.WeakKeyDictionary[nn.Module, Watch] = weakref.WeakKeyDictionary()
        self._loading = threading.local()
        self._lock = threading.RLock()
        self._undo: list[Callable[[], None]] = []
        self._undo.append(after_import(_MODELING, self._patch))

    def watch(self, model: nn.Module) -> None:
        """Put a model under watch, unless it or a part of it is. Never raises."""
        with self._lock:
            parts = list(model.modules())
            for part in parts:
                stop_waiting(part)
            if any(part in self._watches for part in parts):
                return
            try:
                self._watches[model] = self._attach(model)
            except Exception:
                _LOG.warning("a %s goes unwatched", type(model).__name__, exc_info=True)

    def release(self, model: nn.Module) -> None:
        """Leave a model to somebody who watches it himself."""
        with self._lock:
            watch = self._watches.pop(model, None)
            stop_waiting(model)
        if watch is not None:
            watch.close()

    def undo(self) -> None:
        """Take every patch and every watch off."""
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        if self._agent is not None:
            self._agent.close()
        self._watches.clear()

    def _attach(self, model: nn.Module) -> Watch:
        from locant.watching import attach

        if self._agent is None:
            self._agent = self._make_agent()
        return attach(model, self._agent, version=os.environ.get(VERSION_VARIABLE) or None)

    def _patch(self, modeling: ModuleType) -> None:
        base = modeling.PreTrainedModel
        self._replace(base, "from_pretrained", self._loader_around)
        self._replace(base, "post_init", self._builder_around)

    def _replace(self, base: type, name: str, around: Callable[[Any], Any]) -> None:
        original = base.__dict__.get(name)
        if original is None:
            _LOG.warning(
                "this release of transformers has no PreTrainedModel.%s; models built that way are missed", name
            )
            return
        setattr(base, name, around(original))
        self._undo.append(lambda: setattr(base, name, original))

    def _loader_around(self, original: Any) -> Any:
        """`from_pretrained`: what it returns to the program, and not the parts it loads on the way, is watched."""

        @functools.wraps(original.__func__)
        def from_pretrained(cls: type, *arguments: Any, **named: Any) -> Any:
            depth = getattr(self._loading, "depth", 0)
            self._loading.depth = depth + 1
            try:
                loaded = original.__func__(cls, *arguments, **named)
            finally:
                self._loading.depth = depth
            if depth == 0:
                self.watch(loaded[0] if isinstance(loaded, tuple) else loaded)
            return loaded

        return classmethod(from_pretrained)

    def _builder_around(self, original: Any) -> Any:
        """`post_init`, the end of every constructor: a model built from a configuration is watched once it runs."""

        @functools.wraps(original)
        def post_init(model: nn.Module, *arguments: Any, **named: Any) -> Any:
            result = original(model, *arguments, **named)
            if not waits(model):
                model.register_forward_pre_hook(first_forward)
            return result

        return post_init


class FirstForward:
    """The hook of a model that waits for its first forward. In a pickle an inert callable of the standard library takes
    its place, so that the model loads where Locant is not installed."""

    def __call__(self, model: nn.Module, _: Any) -> None:
        """Put the model under watch."""
        stop_waiting(model)
        for instrumentation in _installed:
            instrumentation.watch(model)

    def __deepcopy__(self, memo: object) -> FirstForward:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (contextlib.nullcontext(), "__exit__")


first_forward = FirstForward()


def waits(model: nn.Module) -> bool:
    """Whether a model waits for its first forward."""
    return first_forward in model._forward_pre_hooks.values()


def stop_waiting(model: nn.Module) -> None:
    """Take the waiting hook off, also one that came with a copy of a model."""
    for key in [key for key, hook in model._forward_pre_hooks.items() if hook is first_forward]:
        del model._forward_pre_hooks[key]


_installed: list[Instrumentation] = []


def instrument_transformers() -> Instrumentation:
    """Watch every transformers model of this process from now on. Calling it again changes nothing."""
    if not _installed:
        _installed.append(Instrumentation(_agent))
    return _installed[0]


def uninstrument_transformers() -> None:
    """Take everything off again."""
    while _installed:
        _installed.pop().undo()


def release(model: nn.Module) -> None:
    """Let go of a model that is about to be watched by hand."""
    for instrumentation in _installed:
        instrumentation.release(model)


class LocantInstrumentor:
    """What `opentelemetry-instrument` finds by the entry point and calls at start-up."""

    def instrument(self, **options: Any) -> None:
        """Watch every transformers model of this process."""
        instrument_transformers()

    def uninstrument(self, **options: Any) -> None:
        """Leave no trace."""
        uninstrument_transformers()

    def instrumentation_dependencies(self) -> Collection[str]:
        """What must be installed for this to make sense."""
        return ("transformers >= 4.40",)


def _agent() -> AnyAgent:
    """The sidecar where its socket is named, else an agent in this process that serves its own metrics."""
    from locant.watching import SOCKET_VARIABLE

    path = os.environ.get(SOCKET_VARIABLE)
    if path:
        from locant.remote import RemoteAgent

        return RemoteAgent(path)
    return _serving()


def _serving() -> AnyAgent:
    from locant.embedded import EmbeddedAgent
    from locant.sidecar.config import load_config
    from locant_slo.errors import LocantError

    config = load_config()
    agent = EmbeddedAgent(config)
    try:
        server = agent.serve(config.web_listen_address, config.web_config_file)
        _LOG.info("metrics at %s/metrics", server.url)
    except LocantError as error:
        _LOG.warning("this process is watched, but its metrics cannot be scraped: %s", error)
    return agent
