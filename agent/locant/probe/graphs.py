"""Asking the device questions while some other thread captures a CUDA graph.

A capture in torch's default mode forbids every thread of the process the calls that might disturb it, the query of an
event and the loading of a kernel among them, and one such call breaks the capture: the model's thread would get an
error for what ours asked. A thread can have captures of others ignored for itself (CUDA driver API, stream management:
`cuThreadExchangeStreamCaptureMode`); torch does not expose that.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

_THREAD_LOCAL = 1
_LIBRARY = "libcuda.so.1"


@contextmanager
def beside_captures() -> Iterator[None]:
    """What this thread asks inside disturbs no capture of another thread."""
    begun: Any = torch.cuda.is_initialized
    library = _library() if begun() else None
    if library is None:
        yield
        return
    mode = ctypes.c_int(_THREAD_LOCAL)
    library.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))
    try:
        yield
    finally:
        library.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))


@cache
def _library() -> Any:
    """The CUDA driver; None where there is none (ROCm, other systems)."""
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
