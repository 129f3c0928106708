"""Attention inside of compiled graphs: a second graph beside the model's own, for the passes that are looked at."""
