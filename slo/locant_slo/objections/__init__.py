"""What may stand against a spec of the right shape, by subject; `diagnose` asks them all."""
