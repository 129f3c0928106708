"""Two compiled graphs for one trace: the model's own, and beside it one that armed passes run.

The compiler traces a model once and hands the graph to a backend; here the backend is asked a second time, for the
observed copy, in the same breath. So nothing is ever compiled because of a look: no guard tells armed passes from
others, no entry of the tracer's cache and none of its limit is taken, and the graph of an ordinary pass is the one that
it would be without Locant. The choice is one look at a thread-local per call of a graph.
"""

from __future__ import annotations

import copy
import functools
import importlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch import fx

from locant.probe.attention import seams
from locant.probe.attention.compiled.observed import observed

Compiled = Callable[..., Any]
_METHOD = "call_user_compiler"


class Twin:
    """What a traced model calls for one of its graphs."""

    __slots__ = ("__weakref__", "observed", "plain")

    def __init__(self, plain: Compiled, observed: Compiled) -> None:
        self.plain = plain
        self.observed: Compiled | None = observed

    def __call__(self, *inputs: Any) -> Any:
        if seams.recorder() is None or self.observed is None:
            return self.plain(*inputs)
        return self.observed(*inputs)


class Listener(Protocol):
    """Somebody who wants the graphs of a model observed."""

    def owns(self, scope: Mapping[str, Any]) -> bool:
        """Whether the frame with these local variables, which is being compiled, is one of the model's."""
        ...

    def compiled(self, twin: Twin, seconds: float) -> None:
        """A graph has a twin now, which took so long to compile."""
        ...

    def failed(self, error: Exception) -> None:
        """A graph goes without."""
        ...


class Compiler:
    """The place where the tracer hands a graph to its backend, watched while anybody listens.

    torch has no public name for it. Where it is called otherwise than here, nothing is observed and nothing breaks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()
        self._put: tuple[Any, Callable[..., Any], Callable[..., Any]] | None = None

    def listen(self, listener: Listener) -> None:
        """Offer it every graph from now on."""
        with self._lock:
            if not self._listeners:
                self._replace()
            self._listeners = (*self._listeners, listener)

    def leave(self, listener: Listener) -> None:
        """Offer it no more. After the last one the tracer is as it was."""
        with self._lock:
            self._listeners = tuple(other for other in self._listeners if other is not listener)
            if self._listeners or self._put is None:
                return
            owner, original, replaced = self._put
            self._put = None
            if getattr(owner, _METHOD, None) is replaced:
                setattr(owner, _METHOD, original)

    def _replace(self) -> None:
        owner: Any = getattr(importlib.import_module("torch._dynamo.output_graph"), "OutputGraph", None)
        original = getattr(owner, _METHOD, None)
        if original is None:
            return

        @functools.wraps(original)
        def call_user_compiler(output: Any, *args: Any, **kwargs: Any) -> Any:
            listener = self._listener_for(output)
            if listener is None:
                return original(output, *args, **kwargs)
            backend = output.compiler_fn
            output.compiler_fn = _asked_twice(backend, listener)
            try:
                return original(output, *args, **kwargs)
            finally:
                output.compiler_fn = backend

        setattr(owner, _METHOD, call_user_compiler)
        self._put = (owner, original, call_user_compiler)

    def _listener_for(self, output: Any) -> Listener | None:
        """None also for what is exported or packed into a file: that is not run here."""
        if getattr(output, "export", True) or getattr(output, "package", None) is not None:
            return None
        if not callable(getattr(output, "compiler_fn", None)):
            return None
        scope = getattr(output, "local_scope", {})
        return next((listener for listener in self._listeners if listener.owns(scope)), None)


COMPILER = Compiler()
"""The process's tracer."""


def _asked_twice(backend: Compiled, listener: Listener) -> Compiled:
    """The backend, and the backend again for the observed copy. An error in the second one is nobody's but ours."""

    @functools.wraps(backend, assigned=("__name__",), updated=())
    def compile_both(graph: fx.GraphModule, inputs: Any, **more: Any) -> Compiled:
        copied = _guarded(lambda: observed(graph), listener)
        plain: Compiled = backend(graph, inputs, **more)
        if copied is None:
            return plain
        started = time.perf_counter()
        with _tracing_kept(), _backward_included():
            second = _guarded(lambda: _without_capture(backend)(copied, list(inputs), **more), listener)
        if second is None:
            return plain
        twin = Twin(plain, second)
        listener.compiled(twin, time.perf_counter() - started)
        return twin

    return compile_both


def _guarded(action: Callable[[], Any], listener: Listener) -> Any:
    try:
        return action()
    except Exception as error:
        listener.failed(error)
        return None


@contextmanager
def _tracing_kept() -> Iterator[None]:
    """What the tracer notes about the graph it compiles is that of the model's own."""
    context: Any = torch._guards.TracingContext.try_get()
    kept = dict(vars(context)) if context is not None else {}
    try:
        yield
    finally:
        if context is not None:
            vars(context).update(kept)


def _backward_included() -> AbstractContextManager[None]:
    """The backward graph is compiled now, where torch can be told: by itself it waits for the first backward pass."""
    config: Any = getattr(importlib.import_module("torch._functorch"), "config", None)
    if not hasattr(config, "force_non_lazy_backward_lowering"):
        return nullcontext()
    patched: AbstractContextManager[None] = config.patch(force_non_lazy_backward_lowering=True)
    return patched


def _without_capture(backend: Compiled) -> Compiled:
    """The backend that captures no CUDA graph: a graph that runs seldom should not keep memory of its own for that."""
    inner: Any = backend
    while hasattr(inner, "_torchdynamo_orig_backend"):
        inner = inner._torchdynamo_orig_backend
    settings = getattr(inner, "config", None)
    if not isinstance(settings, dict) or not settings.get("triton.cudagraphs"):
        return backend
    other: Any = copy.copy(inner)
    other.config = {**settings, "triton.cudagraphs": False}
    return other  # type: ignore[no-any-return]
