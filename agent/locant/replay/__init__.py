"""Replay: now and then a live request is computed a second time, another way, and must come out the same.

Off by default. Only `options` and `budget` are free of torch.
"""
