"""`llamarec train`."""
