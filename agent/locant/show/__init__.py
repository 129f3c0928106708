"""Shows a pass that was kept for a finding: as text, as a page that needs nothing else, as a picture."""
