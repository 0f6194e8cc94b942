"""`llamarec recommend`."""
