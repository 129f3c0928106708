"""How observations travel from the probe to the agent: a bounded queue in one process."""
