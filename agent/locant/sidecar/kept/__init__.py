"""Passes kept whole for a finding: statistics, heat map, positions, masks; never a token, a text or a request id."""
