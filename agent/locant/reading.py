"""Reading a running agent's findings over HTTP, for the command line."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
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


def fetch_findings(url: str) -> FindingsPage:
    """The findings of the agent at `url` (scheme, host and port).

    Raises ConfigError for an address that is none, MachineError when nobody answers there or it is no agent.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url} is no address of an agent; write http://HOST:9466")
    address = f"{url.rstrip('/')}/api/v1/findings"
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - the scheme is checked
            text = answer.read(_LARGEST_PAGE_BYTES).decode()
        findings = tuple(json.loads(text)["findings"])
    except urllib.error.URLError as error:
        raise MachineError(f"{address} does not answer ({error.reason}); is the agent running there?") from error
    except (ValueError, KeyError, TypeError) as error:
        raise MachineError(f"{address} is no agent's answer; give the address that serves /metrics") from error
    return FindingsPage(text, findings)


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
