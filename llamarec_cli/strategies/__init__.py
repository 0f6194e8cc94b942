"""Strategies: ways to score candidates with a language model. Each is one file and one row of the registry."""
