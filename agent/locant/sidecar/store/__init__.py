"""The state behind every snapshot: typed series under a hard cap, and the findings."""

from locant.sidecar.store.findings import FindingLog
from locant.sidecar.store.series import LONGEST_LABEL
from locant.sidecar.store.store import Store
from locant.sidecar.store.update import Batch, Operation, Update, add, observe, put

__all__ = ["LONGEST_LABEL", "Batch", "FindingLog", "Operation", "Store", "Update", "add", "observe", "put"]
