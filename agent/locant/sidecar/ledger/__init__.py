"""The ledger: requests followed from call to call without being told, each position held against the last."""

from locant.sidecar.ledger.ledger import Followed, Ledger
from locant.sidecar.ledger.moves import Move
from locant.sidecar.ledger.state import RowState
from locant.sidecar.ledger.stride import Stride

__all__ = ["Followed", "Ledger", "Move", "RowState", "Stride"]
