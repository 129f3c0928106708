"""Runs in the model's process: hooks in, facts out. torch lives here and nowhere else in the agent's data path."""
