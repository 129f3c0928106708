"""`locant demo`: a real model, a real fault, a real alert, on this machine alone."""
