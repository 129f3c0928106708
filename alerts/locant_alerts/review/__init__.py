"""The weekly error-budget review: what was promised, what was kept, what happened."""
