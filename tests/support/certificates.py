"""Throw-away certificates for loopback, made with the openssl program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority in a folder; `issue` gives certificate and key files."""

    openssl: str
    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    def issue(self, name: str, serial: int = 1) -> tuple[Path, Path]:
        """Certificate and key for `name`, valid for 127.0.0.1, ::1 and localhost; overwrites earlier ones."""
        certificate, key, request = (self.folder / f"{name}.{end}" for end in ("crt", "key", "csr"))
        extensions = self.folder / "san.cnf"
        extensions.write_text("subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\n")
        _run(self.openssl, "req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request))
        authority = ("-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key"))
        signing = ("-set_serial", str(serial), "-days", "2", "-extfile", str(extensions))
        _run(self.openssl, "x509", "-req", "-in", str(request), *authority, *signing, "-out", str(certificate))
        return certificate, key


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make_authority(openssl: str, folder: Path) -> Authority:
    """A new authority in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = ("-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.crt"))
    _run(openssl, "req", "-x509", *_NEW_KEY, "-days", "2", "-subj", "/CN=test authority", *files)
    return Authority(openssl, folder)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
