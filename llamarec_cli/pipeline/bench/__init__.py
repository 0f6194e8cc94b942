"""`llamarec bench`."""
