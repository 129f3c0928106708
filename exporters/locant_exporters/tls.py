"""The server's side of TLS, with certificates that may be replaced while it runs."""

from __future__ import annotations

import logging
import ssl
import threading
from pathlib import Path

from locant_exporters.web_config import TlsServerConfig
from locant_slo.errors import ConfigError

_log = logging.getLogger(__name__)
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENTS = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_Stamp = tuple[tuple[int, int, int], ...]


def build_context(config: TlsServerConfig) -> ssl.SSLContext:
    """The TLS context that `config` asks for.

    Raises ConfigError with a sentence when a file is missing, is no certificate, or certificate and key do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version]
    try:
        # A password function, because OpenSSL would otherwise ask on the terminal and wait.
        context.load_cert_chain(config.cert_file, config.key_file, password=lambda: "")
        if config.client_ca_file is not None:
            context.load_verify_locations(config.client_ca_file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        files = ", ".join(str(path) for path in _files(config))
        raise ConfigError(
            f"tls_server_config: {files}: cannot be used ({reason}); check them and their rights"
        ) from error
    context.verify_mode = _CLIENTS[config.client_auth_type]
    return context


class ReloadingContext:
    """A TLS context that follows its files. Call it for each connection; unchanged files cost three `stat` calls.

    While a rotation is half done (certificate new, key old) the last good context stays in use.
    """

    def __init__(self, config: TlsServerConfig) -> None:
        self._config = config
        self._stamp = _stamp(config)
        self._refused: _Stamp | None = None
        self._context = build_context(config)
        self._lock = threading.Lock()

    def __call__(self) -> ssl.SSLContext:
        """The context for one new connection."""
        with self._lock:
            stamp = _stamp(self._config)
            if stamp not in (self._stamp, self._refused):
                self._rebuild(stamp)
            return self._context

    def _rebuild(self, stamp: _Stamp) -> None:
        try:
            self._context, self._stamp = build_context(self._config), stamp
        except ConfigError as error:
            self._refused = stamp
            _log.warning("keeping the old certificate: %s", error)


def _files(config: TlsServerConfig) -> list[Path]:
    return [path for path in (config.cert_file, config.key_file, config.client_ca_file) if path is not None]


def _stamp(config: TlsServerConfig) -> _Stamp:
    """What changes when a file is replaced or rewritten; follows the links that Kubernetes swaps."""
    return tuple(_file_stamp(path) for path in _files(config))


def _file_stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_mtime_ns, status.st_size)
