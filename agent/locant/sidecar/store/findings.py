"""Findings, merged: equal ones are one with a count, and a flood of different ones stays bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from locant_slo.findings import Finding, Severity

_RANK = {severity: rank for rank, severity in enumerate(Severity)}


class FindingLog:
    """At most `capacity` findings. When full, the one of least severity that was seen longest ago has to go."""

    def __init__(self, capacity: int = 256) -> None:
        self.capacity = capacity
        self._findings: OrderedDict[tuple[str, ...], Finding] = OrderedDict()
        self.evicted = 0

    def merge(self, finding: Finding) -> Finding:
        """Take one in and return what stands for it now; message and evidence stay those of the first occurrence."""
        known = self._findings.pop(finding.key, None)
        if known is not None:
            finding = replace(
                known,
                first_seen=min(known.first_seen, finding.first_seen),
                last_seen=max(known.last_seen, finding.last_seen),
                count=known.count + finding.count,
            )
        elif len(self._findings) >= self.capacity:
            self.evicted += 1
            least = max(self._findings.values(), key=lambda f: _RANK[f.severity])
            if _RANK[least.severity] < _RANK[finding.severity]:
                return finding
            del self._findings[least.key]
        self._findings[finding.key] = finding
        return finding

    def worst_first(self) -> tuple[Finding, ...]:
        """All findings, by severity and then by age, the oldest first."""
        return tuple(sorted(self._findings.values(), key=lambda f: (_RANK[f.severity], f.first_seen)))
