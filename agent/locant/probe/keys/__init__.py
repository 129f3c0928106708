"""The key ledger: which positions the cached keys carry, told from the keys themselves."""
