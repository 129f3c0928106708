"""Stands before the real transformers on the path that `locant run` sets: it starts the watching, then steps aside.

Nothing of Locant runs before the first `import transformers`, and a process that never imports it is left alone.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path


def _step_aside() -> None:
    # The path itself keeps this folder: spawned children get a copy of it, and must be watched too.
    here = Path(__file__).resolve().parents[1]
    path = [entry for entry in sys.path if not entry or Path(entry).resolve() != here]
    spec = PathFinder.find_spec(__name__, path)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {__name__!r}", name=__name__)
    try:
        from locant.instrument import instrument_transformers
    except ImportError as error:  # another environment's Python: the program matters more than its observer
        sys.stderr.write(f"locant: not installed for {sys.executable} ({error}); this process goes unwatched\n")
    else:
        instrument_transformers()
    real = module_from_spec(spec)
    sys.modules[__name__] = real
    spec.loader.exec_module(real)


_step_aside()
