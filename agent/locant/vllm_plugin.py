"""The vLLM general plugin: models come under watch as vLLM loads them, in each of its processes.

vLLM compiles the inside of a model whole and may capture its forward as a CUDA graph, so only the model's own forward
is hooked, nothing within it. It calls models with tokens and positions of all requests in one flat row and keeps keys
in pages: of that the probe takes neither rows nor positions, and its coverage says so.
"""

from __future__ import annotations

import functools
import logging
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

from locant.importing import after_import
from locant.instrument import VERSION_VARIABLE

if TYPE_CHECKING:
    from torch import nn

    from locant.remote import RemoteAgent

_LOADER = "vllm.model_executor.model_loader.base_loader"
_LOG = logging.getLogger("locant.vllm")
_agents: dict[str, RemoteAgent] = {}


def register() -> None:
    """What vLLM calls at the start of each of its processes. Without `LOCANT_SOCKET` it does nothing. Never raises."""
    from locant.watching import SOCKET_VARIABLE

    path = os.environ.get(SOCKET_VARIABLE)
    if path:
        after_import(_LOADER, functools.partial(_patch, path=path))


def _patch(module: ModuleType, *, path: str) -> None:
    """Wrap `BaseModelLoader.load_model`, once."""
    base = getattr(module, "BaseModelLoader", None)
    original = base.__dict__.get("load_model") if base is not None else None
    if original is None:
        _LOG.warning("this release of vLLM has no BaseModelLoader.load_model; its models go unwatched")
        return
    if getattr(original, "_locant", False):
        return

    @functools.wraps(original)
    def load_model(loader: Any, *arguments: Any, **named: Any) -> Any:
        model = original(loader, *arguments, **named)
        _watch(model, path)
        return model

    load_model._locant = True  # type: ignore[attr-defined]
    base.load_model = load_model  # type: ignore[union-attr]


def _watch(model: nn.Module, path: str) -> None:
    """Report this model to the sidecar; whatever goes wrong is logged, and vLLM goes on."""
    try:
        from locant.probe.options import ProbeOptions
        from locant.remote import RemoteAgent
        from locant.watching import attach

        agent = _agents.get(path) or _agents.setdefault(path, RemoteAgent(path))
        attach(model, agent, version=os.environ.get(VERSION_VARIABLE) or None, options=ProbeOptions(inside=False))
    except Exception:
        _LOG.warning("a %s goes unwatched", type(model).__name__, exc_info=True)
