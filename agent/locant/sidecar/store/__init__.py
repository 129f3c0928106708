"""The state behind every snapshot: typed series under a hard cap, and the findings."""

from locant.sidecar.store.findings import FindingLog
from locant.sidecar.store.store import Store
from locant.sidecar.store.update import Operation, Update, add, observe, put

__all__ = ["FindingLog", "Operation", "Store", "Update", "add", "observe", "put"]
