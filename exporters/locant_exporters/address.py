"""Listen addresses as Prometheus exporters write them: `host:port`, `:port`, `[::1]:port`."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from locant_slo.errors import ConfigError

_LARGEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. An empty host means every address of the machine; port 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """The address in `text`.

    Raises ConfigError with a sentence when it is none.
    """
    host, colon, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > _LARGEST_PORT:
        raise ConfigError(f"{text!r} is no listen address; write host:port with a port up to {_LARGEST_PORT}")
    if ":" in host and not bracketed:
        raise ConfigError(f"{text!r} is no listen address; put an IPv6 address in brackets, as in [::1]:9464")
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise ConfigError(f"{text!r} is no listen address; {host!r} is no host name") from error
    return Address(host[1:-1] if bracketed else host, int(port))


def resolve(address: Address) -> tuple[socket.AddressFamily, str]:
    """The family and numeric host to bind. Raises OSError when the host is unknown."""
    if not address.host:
        dual = socket.has_dualstack_ipv6()
        return (socket.AF_INET6, "::") if dual else (socket.AF_INET, "0.0.0.0")  # noqa: S104 - asked for
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, where = found[0]
    return family, str(where[0])
