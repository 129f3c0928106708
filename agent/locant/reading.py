"""Reading a running agent's findings over HTTP, for the command line."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from locant_slo.errors import ConfigError, MachineError
from locant_slo.findings import finding_id

_KEY = ("check", "failure_mode", "severity", "model", "model_version")
_TIMEOUT_SECONDS = 10.0
_LARGEST_PAGE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FindingsPage:
    """What the agent answered: the text, and the findings in it."""

    text: str
    findings: tuple[dict[str, Any], ...]


def fetch_findings(url: str, headers: Mapping[str, str] | None = None) -> FindingsPage:
    """The findings of the agent at `url` (scheme, host and port), asked with these headers.

    Raises ConfigError for an address that is none, MachineError when nobody answers there or it is no agent.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url} is no address of an agent; write http://HOST:9466")
    address = f"{url.rstrip('/')}/api/v1/findings"
    try:
        request = urllib.request.Request(address, headers=dict(headers or {}))  # noqa: S310 - the scheme is checked
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            text = answer.read(_LARGEST_PAGE_BYTES).decode()
        findings = tuple(json.loads(text)["findings"])
    except urllib.error.HTTPError as error:
        raise MachineError(f"{address} answers {error.code} {error.reason}; {_cure(error.code)}") from error
    except OSError as error:  # URLError is one, and so is a silence after the first byte
        reason = getattr(error, "reason", error)
        raise MachineError(f"{address} does not answer ({reason}); is the agent running there?") from error
    except (http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise MachineError(f"{address} is no agent's answer; give the address that serves /metrics") from error
    return FindingsPage(text, findings)


def _cure(status: int) -> str:
    if status == 401:
        return "name a user, as in --header 'Authorization: Basic ...'"
    return "give the address that serves /metrics"


def render_findings(findings: Sequence[dict[str, Any]]) -> str:
    """The findings as text: one paragraph each."""
    return "\n\n".join(_paragraph(finding) for finding in findings) or "no findings"


def _paragraph(finding: dict[str, Any]) -> str:
    name = finding_id(*(str(finding[part]) for part in _KEY))
    head = name + "  {severity}  {failure_mode} {failure_mode_name}  {check}  {model} {model_version}".format(**finding)
    seen = (
        f"seen {finding['count']} times, first {_moment(finding['first_seen'])}, last {_moment(finding['last_seen'])}"
    )
    evidence = ", ".join(f"{key}={value}" for key, value in finding["evidence"].items())
    return "\n  ".join([head, finding["message"], seen, f"evidence: {evidence}"])


def _moment(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
