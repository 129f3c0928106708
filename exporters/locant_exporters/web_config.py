"""The web configuration file, in the Prometheus exporter-toolkit's format: TLS, client certificates, users, headers.

Format: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. What Python's TLS cannot
keep (cipher and curve lists, client certificates that nobody verifies, TLS below 1.2) is refused with words: a
security setting that is read and then ignored would be worse than none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from locant_slo.errors import ConfigError

_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_WITHOUT_CERTIFICATES = ("NoClientCert", "")


def _bcrypt_hash(value: str) -> str:
    if not _BCRYPT.fullmatch(value):
        raise ValueError("is no bcrypt hash; make one with `htpasswd -nBC 10 USER`")
    return value


def _header_value(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"{value!r} cannot stand in a header; write printable ASCII on one line")
    return value


HeaderValue = Annotated[str, AfterValidator(_header_value)]
HeaderName = Literal[
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
]
_HEADER_CHOICES: dict[HeaderName, tuple[str, ...]] = {
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
}


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TlsServerConfig(_Closed):
    """`tls_server_config`: the server's certificate, and whether clients must show one."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_auth_type: Literal["", "NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] = ""
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS12", "TLS13"] = "TLS13"

    @model_validator(mode="after")
    def _agree(self) -> TlsServerConfig:
        verifies = self.client_auth_type not in _WITHOUT_CERTIFICATES
        if verifies and self.client_ca_file is None:
            raise ValueError(f"client_auth_type is {self.client_auth_type}; name the authority in client_ca_file")
        if self.client_ca_file is not None and not verifies:
            raise ValueError("client_ca_file is set; set client_auth_type to RequireAndVerifyClientCert as well")
        if self.min_version > self.max_version:
            raise ValueError(f"min_version {self.min_version} is above max_version {self.max_version}")
        return self


class HttpServerConfig(_Closed):
    """`http_server_config`. `http2` is accepted and has no effect: the server speaks HTTP/1."""

    http2: bool = True
    headers: dict[HeaderName, HeaderValue] = {}

    @model_validator(mode="after")
    def _known_values(self) -> HttpServerConfig:
        for name, allowed in _HEADER_CHOICES.items():
            if self.headers.get(name, allowed[0]) not in allowed:
                raise ValueError(f"{name} must be {' or '.join(allowed)}")
        return self


class WebConfig(_Closed):
    """The whole file; `WebConfig()` is plain HTTP for everybody who can reach the port."""

    tls_server_config: TlsServerConfig | None = None
    http_server_config: HttpServerConfig = HttpServerConfig()
    basic_auth_users: dict[str, Annotated[str, AfterValidator(_bcrypt_hash)]] = {}


def load_web_config(path: Path) -> WebConfig:
    """The web configuration in file `path`; file names in it are relative to its folder.

    Raises ConfigError: one sentence for each fault, with its path, never with a hash or key in it.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a readable web configuration") from error
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:  # what PyYAML's values raise
        raise ConfigError(f"{path}: is no YAML ({_first_line(error)})") from error
    try:
        return _beside(path.parent, WebConfig.model_validate({} if content is None else content))
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {_sentence(problem)}" for problem in error.errors())) from error


def _beside(folder: Path, config: WebConfig) -> WebConfig:
    tls = config.tls_server_config
    if tls is None:
        return config
    authority = folder / tls.client_ca_file if tls.client_ca_file else None
    files = {"cert_file": folder / tls.cert_file, "key_file": folder / tls.key_file, "client_ca_file": authority}
    return config.model_copy(update={"tls_server_config": tls.model_copy(update=files)})


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _sentence(problem: object) -> str:
    assert isinstance(problem, dict)
    where = ".".join(str(part) for part in problem["loc"]) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"{where}: is not a setting of Locant's server; remove it"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"
