"""Loading a model from a local folder for the commands that look at one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from locant.extras import require
from locant_slo.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def load_model(folder: Path, device: str = "cpu") -> nn.Module:
    """The transformers model saved in `folder`, in eval mode on `device`.

    Reads local safetensors only, nothing from the network, and runs no code of the checkpoint's.

    Raises ModelError when the folder holds no model that transformers can build, MachineError when torch or
    transformers is missing.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: holds no config.json; give the folder that `save_pretrained` wrote")
    require("demo", "torch", "transformers")
    import torch
    import transformers

    try:
        transformers.utils.logging.disable_progress_bar()
        config = transformers.AutoConfig.from_pretrained(folder, **_LOCAL)
        model = _class_for(transformers, config).from_pretrained(folder, use_safetensors=True, **_LOCAL)
        model = model.to(torch.device(device))
    except Exception as error:  # whatever a foreign checkpoint makes of the loader, it is one sentence to the user
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"{folder}: cannot be loaded ({reason}); check the files and the device") from error
    loaded: nn.Module = model.eval()
    return loaded


def _class_for(transformers: Any, config: Any) -> Any:
    """The class that the checkpoint was saved from, or the plain base model."""
    for name in getattr(config, "architectures", None) or ():
        if hasattr(transformers, name):
            return getattr(transformers, name)
    return transformers.AutoModel
