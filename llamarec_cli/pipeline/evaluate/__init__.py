"""`llamarec evaluate`."""
