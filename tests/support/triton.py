"""A real Triton Inference Server over a repository of Python models, which see this checkout and this environment."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.real_servers import free_port, running

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("agent", "slo", "exporters", "alerts", "dashboards")
_STARTS_WITHIN_SECONDS = 200.0


class MissingError(Exception):
    """Triton cannot be had here, and why."""


@dataclass(frozen=True, slots=True)
class Triton:
    """A running server."""

    port: int
    metrics_port: int

    def infer(self, model: str, **tensors: Any) -> Any:
        """The output tensor of a model for int64 arrays, as a flat list."""
        inputs = [
            {"name": name, "shape": list(tensor.shape), "datatype": "INT64", "data": tensor.flatten().tolist()}
            for name, tensor in tensors.items()
        ]
        body = json.dumps({"inputs": inputs}).encode()
        url = f"http://127.0.0.1:{self.port}/v2/models/{model}/infer"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["outputs"][0]["data"]

    def metrics(self) -> str:
        """Triton's own metrics page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=60) as response:
            return str(response.read().decode())


@contextlib.contextmanager
def triton(folder: Path, repository: Path, environment: dict[str, str]) -> Iterator[Triton]:
    """The server over `repository`, ready to answer. Raises MissingError when it cannot be installed."""
    unpacked = _unpacked()
    server = Triton(free_port(), free_port())
    command: list[str | Path] = [
        "env",
        *(f"{name}={value}" for name, value in _environment(folder, unpacked, environment).items()),
        unpacked / "pytriton" / "tritonserver" / "bin" / "tritonserver",
        f"--model-repository={repository}",
        f"--backend-directory={_backends(folder, unpacked)}",
        "--allow-grpc=false",
        "--allow-gpu-metrics=false",
        "--http-address=127.0.0.1",
        f"--http-port={server.port}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={server.metrics_port}",
        "--exit-timeout-secs=5",
    ]
    health = f"http://127.0.0.1:{server.port}/v2/health/ready"
    with running(command, health, folder / "triton.log", _STARTS_WITHIN_SECONDS):
        yield server


def _unpacked() -> Path:
    """The installed package. It stays beside the environment's own packages from one run to the next."""
    library = Path(sysconfig.get_config_var("LIBDIR"), str(sysconfig.get_config_var("INSTSONAME")))
    if not library.name.endswith((".so", ".so.1.0")) or not library.exists():
        raise MissingError(f"this Python has no shared library ({library}), which Triton's Python backend needs")
    script = ROOT / "tests" / "tools" / "fetch_triton.sh"
    run = subprocess.run([script, Path(sys.prefix) / "triton", sys.executable], capture_output=True, text=True)
    if run.returncode != 0:
        raise MissingError(f"nvidia-pytriton cannot be installed: {run.stderr.strip().splitlines()[-1]}")
    return Path(run.stdout.strip())


def _backends(folder: Path, unpacked: Path) -> Path:
    """The Python backend with the stub for this Python."""
    server, backend = unpacked / "pytriton" / "tritonserver", folder / "backends" / "python"
    shutil.copytree(server / "backends" / "python", backend)
    stub = server / "python_backend_stubs" / sysconfig.get_python_version() / "triton_python_backend_stub"
    shutil.copy2(stub, backend)
    return backend.parent


def _environment(folder: Path, unpacked: Path, more: dict[str, str]) -> dict[str, str]:
    """The backend ignores PYTHONPATH; a venv that is first on PATH says which packages it finds."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    [packages] = (folder / "venv" / "lib").glob("python*/site-packages")
    lines = [*(str(ROOT / room) for room in ROOMS), str(unpacked)]
    lines += [f"import site; site.addsitedir({path!r})" for path in sys.path if path.endswith("site-packages")]
    (packages / "tests.pth").write_text("\n".join(lines))
    libraries = [str(unpacked / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR")]
    return {"PATH": f"{folder / 'venv' / 'bin'}:/usr/bin:/bin", "LD_LIBRARY_PATH": ":".join(libraries), **more}
