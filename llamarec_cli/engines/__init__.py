"""Engines: execution of ranking over many users, in this process or elsewhere."""
